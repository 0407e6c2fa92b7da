"""
Tests for L{sensord.tables}.
"""

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta, Struct
from twisted.trial.unittest import SynchronousTestCase

from sensord.tables import build, meant


class Wheel(Struct, frozen=True):
    """
    A struct for one row.
    """

    name: str
    spokes: Annotated[int, Meta(ge=3)] = 32

    def faults(self) -> Iterable[str]:
        """
        Thirteen spokes bring bad luck.
        """
        if self.spokes == 13:
            yield "spokes: bring bad luck"
            yield "name: will be remembered"


class Lamp(Struct, frozen=True):
    """
    A struct for a table.
    """

    watts: float = 3.0


class Bicycle(Struct, frozen=True):
    """
    A struct for a document.
    """

    owner: str
    lamp: Lamp = Lamp()
    wheels: tuple[Wheel, ...] = ()
    stickers: tuple[str, ...] = ()
    places: dict[str, str] = {}
    locked: bool = False


class BuildTests(SynchronousTestCase):
    """
    How plain tables become structs, and what is said of those that cannot.
    """

    def assertFaults(self, table: object, *expected: str, where: str = "") -> None:
        """
        Check that a table is refused with some lines, in any order.
        """
        faults: list[str] = []
        build(table, Bicycle, faults, where)
        self.assertEqual(sorted(faults), sorted(expected))

    def test_aGoodTableBecomesAStruct(self) -> None:
        """
        A table without faults gives the struct, with its inner tables and arrays of tables.
        """
        faults: list[str] = []
        table = {
            "owner": "Ada",
            "lamp": {"watts": 2},
            "wheels": [{"name": "front"}, {"name": "back", "spokes": 36}],
            "stickers": ["tour", "club"],
            "places": {"front": "bell"},
            "locked": True,
        }
        made = build(table, Bicycle, faults)
        wheels = (Wheel("front", 32), Wheel("back", 36))
        places = {"front": "bell"}
        self.assertEqual(faults, [])
        self.assertEqual(
            made, Bicycle("Ada", Lamp(2.0), wheels, ("tour", "club"), places, locked=True)
        )

    def test_whatIsLeftOutHasItsDefault(self) -> None:
        """
        Keys and tables that are left out have their defaults.
        """
        faults: list[str] = []
        self.assertEqual(build({"owner": "Ada"}, Bicycle, faults), Bicycle("Ada"))
        self.assertEqual(faults, [])

    def test_anUnknownKeyIsNamedWithWhatItMeant(self) -> None:
        """
        An unknown key is a fault, and for a typo the line has the right name.
        """
        line = 'ownr: unknown key; did you mean "owner"?'
        self.assertFaults({"owner": "Ada", "ownr": "Bob"}, line)

    def test_anUnknownKeyWithoutANeighbourIsJustNamed(self) -> None:
        """
        Nothing is guessed for a key that is like no other.
        """
        self.assertFaults({"owner": "Ada", "zzz": 1}, "zzz: unknown key")

    def test_anUnknownTableIsCalledATable(self) -> None:
        """
        An unknown table or array of tables is called a table.
        """
        meant = 'unknown table; did you mean "lamp"?'
        self.assertFaults({"owner": "Ada", "lamps": {}}, f"lamps: {meant}")
        meant = 'unknown table; did you mean "wheels"?'
        self.assertFaults({"owner": "Ada", "wheel": [{"name": "front"}]}, f"wheel: {meant}")
        self.assertFaults({"owner": "Ada", "zzz": [1]}, "zzz: unknown key")

    def test_aMissingKeyIsNamed(self) -> None:
        """
        A key that must be there is a fault when it is not.
        """
        self.assertFaults({}, "owner: is missing")

    def test_aWrongTypeIsNamed(self) -> None:
        """
        A value of the wrong type is a fault that says which type was wanted.
        """
        for value, got in ((1, "int"), (True, "bool"), ([], "array"), ({}, "object")):
            self.assertFaults({"owner": value}, f"owner: expected `str`, got `{got}`")

    def test_nothingIsConvertedInSilence(self) -> None:
        """
        A number is no truth value, a text no number, and one text no list.
        """
        self.assertFaults({"owner": "Ada", "locked": 1}, "locked: expected `bool`, got `int`")
        self.assertFaults(
            {"owner": "Ada", "lamp": {"watts": "3"}},
            "[lamp] watts: expected `float`, got `str`",
        )
        self.assertFaults(
            {"owner": "Ada", "stickers": "tour"}, "stickers: expected `array`, got `str`"
        )

    def test_aWrongItemIsNamedByItsKey(self) -> None:
        """
        A wrong item in a list or in a table of texts is a fault of its key.
        """
        for key, value in (("stickers", ["tour", 2]), ("places", {"front": 2})):
            faults: list[str] = []
            self.assertIs(build({"owner": "Ada", key: value}, Bicycle, faults), None)
            [fault] = faults
            self.assertTrue(fault.startswith(f"{key}: expected `str`, got `int`"), fault)

    def test_aValueOutOfBoundsIsNamed(self) -> None:
        """
        A value of the right type that is too small is a fault that says the bound.
        """
        self.assertFaults(
            {"owner": "Ada", "wheels": [{"name": "front", "spokes": 2}]},
            '[[wheels]] "front" spokes: expected `int` >= 3',
        )

    def test_aFaultInATableNamesTheTable(self) -> None:
        """
        A fault in an inner table has the table's name in brackets.
        """
        line = '[lamp] wats: unknown key; did you mean "watts"?'
        self.assertFaults({"owner": "Ada", "lamp": {"wats": 1}}, line)

    def test_aFaultInARowNamesTheRow(self) -> None:
        """
        A row of an array is called by its name, else by its address, else by its number.
        """
        rows = [
            {"name": "front", "x1": 0},
            {"address": "rear/1", "name": "", "x2": 0},
            {"spokes": 3, "x3": 0},
        ]
        self.assertFaults(
            {"owner": "Ada", "wheels": rows},
            '[[wheels]] "front" x1: unknown key',
            '[[wheels]] "rear/1" x2: unknown key',
            '[[wheels]] "rear/1" address: unknown key',
            "[[wheels]] 3 x3: unknown key",
            "[[wheels]] 3 name: is missing",
        )

    def test_aTableInThePlaceOfAnArrayIsAFault(self) -> None:
        """
        Writing [wheels] or a number where [[wheels]] is meant is a fault, and so is a row that is
        no table, or a table that is none.
        """
        self.assertFaults(
            {"owner": "Ada", "wheels": {"name": "front"}}, "wheels: expected `array`, got `object`"
        )
        self.assertFaults({"owner": "Ada", "wheels": 2}, "wheels: expected `array`, got `int`")
        self.assertFaults({"owner": "Ada", "wheels": [2]}, "[[wheels]] 1: expected a table")
        self.assertFaults({"owner": "Ada", "lamp": 2}, "[lamp]: expected a table")
        self.assertFaults({"owner": "Ada", "lamp": [{}]}, "[lamp]: expected a table")

    def test_whatIsNoTableIsAFault(self) -> None:
        """
        What is no table at all is called as the caller calls it.
        """
        self.assertFaults([], "bicycle: expected a table", where="bicycle")

    def test_theCallersNameForTheTableComesFirst(self) -> None:
        """
        Every line begins with what the caller calls the table.
        """
        self.assertFaults(
            {"lamp": {"watts": "3"}},
            "the bicycle owner: is missing",
            "the bicycle [lamp] watts: expected `float`, got `str`",
            where="the bicycle",
        )

    def test_whatAStructFindsWrongIsSaidWithItsPlace(self) -> None:
        """
        What a struct has against its own values comes with the place of its table.
        """
        self.assertFaults(
            {"owner": "Ada", "wheels": [{"name": "front"}, {"name": "back", "spokes": 13}]},
            '[[wheels]] "back" spokes: bring bad luck',
            '[[wheels]] "back" name: will be remembered',
        )

    def test_whatCannotBeMade(self) -> None:
        """
        A table with a value of a wrong type, or without one that it needs, gives no struct.
        """
        self.assertIs(build({"name": 7}, Wheel, []), None)
        self.assertIs(build({}, Wheel, []), None)
        self.assertIs(build({"owner": "Ada", "wheels": [{}]}, Bicycle, []), None)

    def test_whatFindsItselfWrong(self) -> None:
        """
        A table that has something against its own values is made, so that what it has against
        others is found as well.
        """
        faults: list[str] = []
        self.assertEqual(
            build({"name": "back", "spokes": 13, "rim": 1}, Wheel, faults), Wheel("back", 13)
        )
        self.assertEqual(faults.pop(0), "rim: unknown key")
        self.assertEqual(faults, ["spokes: bring bad luck", "name: will be remembered"])

    def test_everyFaultIsFoundInOneGo(self) -> None:
        """
        Faults in several tables are all found, not only the first.
        """
        self.assertFaults(
            {
                "ownr": "Ada",
                "lamp": {"watts": "3", "colour": 1},
                "wheels": [{"name": 1}, {"spoke": 3}, {"name": "back", "spokes": 13}],
                "locked": 1,
            },
            'ownr: unknown key; did you mean "owner"?',
            "owner: is missing",
            "[lamp] watts: expected `float`, got `str`",
            "[lamp] colour: unknown key",
            '[[wheels]] "1" name: expected `str`, got `int`',
            '[[wheels]] 2 spoke: unknown key; did you mean "spokes"?',
            "[[wheels]] 2 name: is missing",
            '[[wheels]] "back" spokes: bring bad luck',
            '[[wheels]] "back" name: will be remembered',
            "locked: expected `bool`, got `int`",
        )

    def test_faultsOfAnotherTableDoNotCount(self) -> None:
        """
        A good table is made although another one before it had faults, and those stay listed.
        """
        faults = ["somewhere else: is wrong"]
        self.assertEqual(build({"owner": "Ada"}, Bicycle, faults), Bicycle("Ada"))
        self.assertEqual(faults, ["somewhere else: is wrong"])


class MeantTests(SynchronousTestCase):
    """
    Guessing what a wrong name should have been.
    """

    def test_theNearestNameIsGuessed(self) -> None:
        """
        Of several right names the one most like the wrong one is guessed.
        """
        guess = meant("wether", ["leather", "weather", "poe"])
        self.assertEqual(guess, '; did you mean "weather"?')

    def test_nothingIsGuessedOutOfTheBlue(self) -> None:
        """
        No guess is better than one that is like nothing that was written.
        """
        self.assertEqual(meant("radio", ["weather", "poe"]), "")
        self.assertEqual(meant("", ["weather"]), "")
        self.assertEqual(meant("weather", []), "")
