"""
Tells C{twistd} that C{twistd sensord} exists. Every C{twistd} command on the machine
imports this file, so it names the service and imports nothing of ours.
"""

from twisted.application.service import ServiceMaker

sensord = ServiceMaker(
    "sensord",
    "sensord.tap",
    "A sensor gateway that loses nothing it acknowledged.",
    "sensord",
)
