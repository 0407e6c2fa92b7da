"""
sensord: a sensor gateway that never loses a reading it acknowledged.
"""

from sensord.gateway import Gateway
from sensord.reading import Clock, Reading

__all__ = ["Clock", "Gateway", "Reading", "__version__"]

__version__ = "0.1.0"
