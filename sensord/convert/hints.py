"""
What to do instead, where there is no counterpart.
"""

import re

#: Why there is no level of the log, and what to do instead.
LOGGING = (
    "sensord logs what matters, once, and has no levels",
    "twistd --logfile FILE, or --syslog, says where the log goes",
)

#: What to do, by what the types of interfacers are called.
_HINTS = (
    (
        "Tx3e",
        "its lines are pairs of names and values, which no listener of sensord reads from a"
        " serial port: let the device send its number and its values with blanks between (wire ="
        ' "serial"), or have a small program say its lines to a broker as JSON (wire = "mqtt")',
    ),
    (
        "OEM",
        'where the board says lines like "OK 10 1 2 3", a listener with wire = "rfm2pi" reads'
        " them; pairs of names and values have no counterpart: have a small program say them to a"
        ' broker as JSON (wire = "mqtt")',
    ),
    (
        "RFM69|RF69",
        "a radio on the SPI bus is not driven by sensord; one behind a board on a serial port is"
        ' (wire = "rfm2pi")',
    ),
    (
        "Modbus|SDM|Samsung|Renogy|Fronius|MBUS|KNX|VEDirect|Heatmiser|Sunamp",
        'keep the program that reads it, or take a gateway to MQTT, and hear it by wire = "mqtt"',
    ),
    (
        "PowerWall|BMW|Jaguar|GoodWe|SMASolar|Solax|Sofar|Econe|FroniusAPI|Smilics|EcoMain",
        'what asks it over the network goes on doing so, and says it to a broker (wire = "mqtt")',
    ),
    (
        "DS18B20|OWFS|SDS011|Pulse|DigitalInput|Ble",
        'a small script that reads it can write lines to a listener with wire = "lines":'
        " a number for the sensor, a blank, and the value",
    ),
    (
        "Graphite|Redis",
        'kind = "mqtt" tells a broker all readings, from where Telegraf, say, takes them on',
    ),
    ("PacketGen|Tester|Template", "it was for tests; sensord has: sensord simulate"),
    (
        "EmoncmsBufferNode|ListenerNode",
        "it is a variant with a form of its own; try the type without Node at its end",
    ),
)

_LAST = 'a device that can reach a broker is heard by wire = "mqtt", see docs/mqtt.rst'


def hint(type: str) -> str:
    """
    What to do instead of something of a type.
    """
    bare = re.sub("^(?:OemGateway|EmonHub|Emon)", "", type, flags=re.I)
    for words, text in _HINTS:
        if re.search(words, bare, re.I):
            return text
    return _LAST
