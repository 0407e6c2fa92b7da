"""
Tests for L{sensord.convert.nodes}.
"""

from sensord.settings import ValueSettings
from tests.convert.support import RADIO, ConvertTestCase, hub, part

_SOCKET = part("Lines", "EmonHubSocketInterfacer")


def rx(text: str, id: str = "10") -> str:
    """
    A node that sends something.
    """
    return f"[[{id}]]\n[[[rx]]]\n{text}\n"


class ValueTests(ConvertTestCase):
    """
    What the values of a node are.
    """

    def test_codes(self) -> None:
        """
        All types of emonHub are there, also without commas; a byte that was a character is a
        number.
        """
        device = self.device(rx("datacodes = b,B,h,H,i,I,l,L,q,Q,f,d,?"))
        self.assertEqual("".join(value.type for value in device.values), "bBhHiIlLqQfd?")
        device = self.device(rx("datacodes = hhL"))
        self.assertEqual([value.type for value in device.values], ["h", "h", "L"])
        device = self.device(rx("datacodes = c, h"))
        self.assertEqual([value.type for value in device.values], ["B", "h"])
        self.assertChanged('"c"')

    def test_senseless(self) -> None:
        """
        A type or a scale that is none is listed.
        """
        device = self.device(rx("datacodes = h, x\nscales = 0.1, nan\nunits = W"))
        self.assertEqual(
            device.values,
            (ValueSettings("1", "h", scale=0.1, unit="W"), ValueSettings("2", "h")),
        )
        self.assertLost(("datacodes", "x"), ("scales", "nan"))

    def test_one(self) -> None:
        """
        One type and one scale hold for all values, of which there are as many as names.
        """
        device = self.device(rx("names = a, b\ndatacode = H\nscale = 0.01"))
        self.assertEqual(
            device.values,
            (ValueSettings("a", "H", scale=0.01), ValueSettings("b", "H", scale=0.01)),
        )
        self.assertChanged("its frames have 2 values")

    def test_listener(self) -> None:
        """
        What a node does not say is as its radio says.
        """
        text = part("Radio", "EmonHubJeeInterfacer", "datacode = B\nscale = 10")
        device = self.device(rx("names = a"), text)
        self.assertEqual(device.values, (ValueSettings("a", "B", scale=10),))
        device = self.device(rx("names = a\ndatacode = h\nscale = 1"), text)
        self.assertEqual(device.values, (ValueSettings("a", "h"),))

    def test_countless(self) -> None:
        """
        Without the number of values, numbers are as they come; other types wait in quarantine.
        """
        self.assertEqual(self.device(rx("datacode = h")).values, ())
        self.assertLost()
        self.assertEqual(self.device(rx("datacode = L")).values, (ValueSettings("1", "L"),))
        self.assertLost(("datacode", "L"))
        self.assertEqual(
            self.device(rx("datacode = h\nscale = 0.1")).values,
            (ValueSettings("1", "h", scale=0.1),),
        )
        self.assertLost(("datacode", "h"))
        self.assertEqual(self.device(rx("scale = 0.1"), _SOCKET).values, ())
        self.assertLost(("scale", "0.1"))

    def test_bytes(self) -> None:
        """
        A radio node of type 0 has bytes.
        """
        device = self.device(rx("names = a, b\ndatacode = 0"))
        self.assertEqual([value.type for value in device.values], ["B", "B"])

    def test_lists(self) -> None:
        """
        Lists may be too short, and what they have too much is listed.
        """
        device = self.device(rx("names = a\ndatacodes = h, h\nscales = 1, 2, 3\nunits = W, V, A"))
        self.assertEqual(
            device.values,
            (ValueSettings("a", "h", unit="W"), ValueSettings("2", "h", scale=2.0, unit="V")),
        )
        self.assertLost(("scales", "3"), ("units", "A"))
        device = self.device(rx("names = a, b\nscales = 0.1"))
        self.assertEqual([value.scale for value in device.values], [1, 1])
        self.assertLost(("scales", "0.1"))
        self.assertEqual(self.device(rx("names = a\nscales = 0.1")).values[0].scale, 0.1)

    def test_names(self) -> None:
        """
        No two values have one name, and none has no name.
        """
        device = self.device(rx("names = a, a, '', a\ndatacode = h"))
        self.assertEqual([value.name for value in device.values], ["a", "a-2", "3", "a-3"])

    def test_many(self) -> None:
        """
        There is an end of values.
        """
        device = self.device(rx(f"names = {', '.join(map(str, range(1000)))}"), _SOCKET)
        self.assertEqual(len(device.values), 256)
        self.assertSaid("only the first 256")

    def test_units(self) -> None:
        """
        Units are spelled as sinks know them, and those that nobody knows stay.
        """
        pairs = {
            "C": "°C",
            "Deg C": "°C",
            "f": "°F",
            "w": "W",
            "kwh": "kWh",
            "v": "V",
            "MV": "MV",
            "mV": "mV",
            "p": "pulses",
            "n": "",
            "lux": "lx",
            "%": "%",
            "furlong": "furlong",
            "°C": "°C",
        }
        names = ", ".join(f"v{place}" for place in range(len(pairs)))
        device = self.device(rx(f"names = {names}\nunits = {', '.join(pairs)}"), _SOCKET)
        self.assertEqual([value.unit for value in device.values], list(pairs.values()))

    def test_whitening(self) -> None:
        """
        Whitening is for radio nodes.
        """
        self.assertTrue(self.device(rx("whitening = True")).whitening)
        self.assertFalse(self.device(rx("whitening = 0")).whitening)
        self.assertFalse(self.device(rx("names = a\nwhitening = 1"), _SOCKET).whitening)
        self.assertLost(("whitening", "1"))


class NodeTests(ConvertTestCase):
    """
    Who a node is.
    """

    def test_names(self) -> None:
        """
        No two devices have one name, none looks like an address, and none is called all; without a
        name they are called by their number.
        """
        names = ("a/b", "a_b", "all", "", "x" * 300)
        nodes = "".join(f"[[{id}]]\nnodename = {name}\n" for id, name in enumerate(names, 1))
        devices = self.settings(hub(RADIO, nodes)).devices
        found = [device.name for device in devices]
        self.assertEqual(found, ["a_b", "a_b-2", "all-3", "4", "x" * 200])

    def test_numbers(self) -> None:
        """
        Nodes are known by numbers; beyond 31 these have flags in them, on a radio.
        """
        nodes = "[[42]]\nnodename = flagged\n[[10]]\nnodename = again\n[[emonTx]]\nnodename = x\n"
        [device] = self.settings(hub(RADIO, nodes + "[[999]]\n[[[rx]]]\nnames = a\n")).devices
        self.assertEqual((device.address, device.name), ("Radio/10", "flagged"))
        self.assertChanged("its number is 10 now")
        self.assertSaid(
            "[[10]]: Radio/10 is described already",
            "[[emonTx]]: sensord knows the nodes",
            "[[999]]: no listener has nodes of this number",
        )

    def test_offsets(self) -> None:
        """
        A node is described for the listener whose offset leads to its number.
        """
        radios = part("A", "EmonHubJeeInterfacer", "", "com_port = /dev/a")
        radios += part("B", "EmonHubJeeInterfacer", "nodeoffset = 100", "com_port = /dev/b")
        devices = self.settings(hub(radios, "[[10]]\n[[110]]\n")).devices
        self.assertEqual([device.address for device in devices], ["A/10", "B/10"])
        self.assertEqual([device.name for device in devices], ["10", "110"])
        self.assertChanged("each node is described for one listener only")

    def test_lines(self) -> None:
        """
        What has types comes by radio, and what has type 0 by lines. Bytes in lines are no values.
        """
        nodes = rx("names = a\ndatacode = 0", "5") + rx("names = a\ndatacodes = h", "6")
        devices = self.settings(hub(_SOCKET + RADIO, nodes)).devices
        self.assertEqual([device.address for device in devices], ["Lines/5", "Radio/6"])
        [device] = self.settings(hub(_SOCKET, nodes)).devices
        self.assertEqual(device.address, "Lines/5")
        self.assertLost(("rx.names", "a"), ("rx.datacodes", "h"))
        self.assertSaid("are bytes")

    def test_homeless(self) -> None:
        """
        Nodes that nothing brings are listed.
        """
        text = part("In", "EmonHubMqttSubsciberInterfacer")
        self.assertEqual(self.settings(hub(text, rx("names = a"))).devices, ())
        self.assertLost(("rx.names", "a"))

    def test_tags(self) -> None:
        """
        What is known of a node beside its values becomes tags; the rest is listed.
        """
        device = self.device("[[10]]\nlocation = barn\nfirmware = v2\ncolour = red\n")
        self.assertEqual(device.tags, {"place": "barn", "firmware": "v2"})
        self.assertLost(("colour", "red"))
        self.device(rx("names = a\noffsets = 1"))
        self.assertLost(("offsets", "1"))


class TransmitTests(ConvertTestCase):
    """
    What a node receives.
    """

    def tx(self, text: str, interfacers: str = RADIO) -> list[tuple[str, str, float]]:
        """
        What a node receives, by what is said of it.
        """
        device = self.device(f"[[10]]\n[[[tx]]]\n{text}\n", interfacers)
        return [(one.name, one.type, one.scale) for one in device.transmit]

    def test_types(self) -> None:
        """
        It has names, types and scales; without a type it is the default of radios.
        """
        self.assertEqual(
            self.tx("names = a, b\ndatacodes = B, L\nscales = 1, 0.1\nunits = W, V"),
            [("a", "B", 1), ("b", "L", 0.1)],
        )
        self.assertLost()
        self.assertEqual(self.tx("names = a, b\nscale = 10"), [("a", "h", 10), ("b", "h", 10)])
        self.assertEqual(self.tx("datacodes = hB"), [("1", "h", 1), ("2", "B", 1)])

    def test_senseless(self) -> None:
        """
        Nothing can be divided by 0, and what is not named cannot be sent.
        """
        self.assertEqual(self.tx("names = a\nscale = 0\nmore = 1"), [("a", "h", 1)])
        self.assertLost(("scales", "0"), ("more", "1"))
        self.assertEqual(self.tx("datacode = h"), [])
        self.assertLost(("names", ""))
        self.assertEqual(self.tx("names = a", _SOCKET), [])
        self.assertLost(("names", "a"))
