"""
sensord: a sensor gateway that never loses a reading it acknowledged.
"""

__version__ = "0.1.0"
