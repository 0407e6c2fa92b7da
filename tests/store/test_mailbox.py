"""
Tests for L{sensord.store.mailbox}.
"""

import sqlite3
from contextlib import closing

from msgspec import structs
from twisted.internet.defer import execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sensord.store import mailbox, schema
from sensord.store.database import Database
from sensord.store.mailbox import Delivery, State
from sensord.store.schema import StoreError
from sensord.store.service import Store
from tests.store.support import folder, sql

DRAFT = Delivery(0, 5, "root", "pages/1", "LED", 0.5, "pending", 5, 3605)


class MailboxTests(SynchronousTestCase):
    """
    The table in a database on the disk.
    """

    def setUp(self) -> None:
        self.path = folder(self) / "sensord.sqlite"
        self.connection = schema.connect(self.path)
        self.addCleanup(self.connection.close)

    def enter(
        self,
        count: int = 1,
        state: State = "pending",
        address: str = "pages/1",
        variable: str = "LED",
        value: float = 0.5,
    ) -> list[Delivery]:
        """
        Enter some commands, all alike.
        """
        draft = structs.replace(DRAFT, state=state, address=address, variable=variable, value=value)
        return mailbox.enter(self.connection, [draft] * count)

    def ids(self) -> list[int]:
        """
        The ids of all rows.
        """
        return [id for (id,) in self.connection.execute("SELECT id FROM commands ORDER BY id")]

    def test_enter(self) -> None:
        """
        Each command gets a row with all that is known of it, and an id that is never used again.
        """
        refused = structs.replace(DRAFT, state="refused", expires=None, why="it sleeps")
        entered = mailbox.enter(self.connection, [DRAFT, refused])
        self.assertEqual(entered, [structs.replace(DRAFT, id=1), structs.replace(refused, id=2)])
        self.assertEqual(
            sql(self.path, "SELECT * FROM commands"),
            [structs.astuple(delivery)[:-1] for delivery in entered],
        )
        self.connection.execute("DELETE FROM commands")
        self.assertEqual(self.enter()[0].id, 3)

    def test_settle(self) -> None:
        """
        Commands come to other states; their other columns stay.
        """
        first, second, third = self.enter(3)
        first = structs.replace(first, state="sent", changed=7)
        third = structs.replace(third, state="expired", changed=9, why="too late")
        mailbox.settle(self.connection, [first, third])
        self.assertEqual(mailbox.listed(self.connection), [third, second, first])

    def test_pending(self) -> None:
        """
        Those that wait are found in the order in which they came.
        """
        one, two, three = self.enter(3)
        self.enter(2, "refused")
        mailbox.settle(self.connection, [structs.replace(two, state="sent")])
        self.assertEqual(mailbox.pending(self.connection), [one, three])

    def test_last(self) -> None:
        """
        What some devices were sent last is found by address and variable; what was not sent does
        not count.
        """
        for address, variable, value, state in (
            ("radio/1", "fan", 1, "sent"),
            ("radio/1", "setpoint", 20, "sent"),
            ("radio/1", "fan", 2, "sent"),
            ("radio/1", "fan", 3, "pending"),
            ("radio/1", "fan", 4, "expired"),
            ("radio/1", "light", 5, "refused"),
            ("radio/2", "fan", 6, "sent"),
            ("radio/3", "fan", 7, "sent"),
        ):
            self.enter(1, state, address, variable, value)  # type: ignore[arg-type]
        self.assertEqual(
            mailbox.last(self.connection, ["radio/1", "radio/2", "radio/9"]),
            {"radio/1": {"fan": 2.0, "setpoint": 20.0}, "radio/2": {"fan": 6.0}},
        )
        self.assertEqual(mailbox.last(self.connection, []), {})

    def test_listed(self) -> None:
        """
        The newest come first: of all devices or of one, and never more than were asked for.
        """
        one, two, three = self.enter(3)
        (other,) = self.enter(address="pages/2")
        listed = mailbox.listed
        self.assertEqual(listed(self.connection), [other, three, two, one])
        self.assertEqual(listed(self.connection, 2), [other, three])
        self.assertEqual(listed(self.connection, 2, "pages/1"), [three, two])
        for limit in 0, -1, -(2**70):
            self.assertEqual(listed(self.connection, limit), [])
        self.assertEqual(len(listed(self.connection, 2**70)), 4)

    def test_prune(self) -> None:
        """
        Of those that are over with only the newest are kept; those that wait all stay.
        """
        self.enter(2)
        self.enter(4, "sent")
        self.enter(1)
        self.enter(2, "expired")
        self.assertEqual(mailbox.prune(self.connection, most=3), 3)
        self.assertEqual(self.ids(), [1, 2, 6, 7, 8, 9])
        self.assertEqual(mailbox.prune(self.connection, most=3), 0)

    def test_pruneLast(self) -> None:
        """
        What a device was sent last stays, if it has to be known.
        """
        for address in "radio/1", "radio/2":
            for variable in "fan", "fan", "setpoint":
                self.enter(1, "sent", address, variable)
        self.enter(5, "refused", "radio/1", "fan")
        before = mailbox.last(self.connection, ["radio/1"])
        mailbox.prune(self.connection, ["radio/1"], 1)
        self.assertEqual(self.ids(), [2, 3, 11])
        self.assertEqual(mailbox.last(self.connection, ["radio/1"]), before)

    def test_prunes(self) -> None:
        """
        Entering commands removes old ones now and then.
        """
        drafts = [structs.replace(DRAFT, state="sent")] * 30
        for _time in range(20):
            mailbox.enter(self.connection, drafts, most=50)
        self.assertLess(len(self.ids()), 50 + 100 + 30)
        self.assertEqual(self.ids()[-1], 600)


class ReadTests(SynchronousTestCase):
    """
    Asking for rows through the store.
    """

    def setUp(self) -> None:
        self.path = folder(self) / "sensord.sqlite"
        database = Database(self.path)
        self.addCleanup(database.close)
        self.store = Store(Clock(), database, execute, execute)

    def test_read(self) -> None:
        """
        A question sees what is committed.
        """
        self.store.startService()
        entered = self.store.write(lambda connection: mailbox.enter(connection, [DRAFT]))
        found = self.successResultOf(self.store.read(mailbox.listed))
        self.assertEqual(found, self.successResultOf(entered))

    def test_readOnly(self) -> None:
        """
        A question cannot change anything.
        """
        self.store.startService()
        done = self.store.read(lambda connection: mailbox.enter(connection, [DRAFT]))
        self.failureResultOf(done, StoreError)
        self.assertEqual(sql(self.path, "SELECT * FROM commands"), [])

    def test_none(self) -> None:
        """
        Without a database a question fails.
        """
        self.failureResultOf(self.store.read(mailbox.listed), StoreError)

    def test_undone(self) -> None:
        """
        A job that fails half-way changes nothing.
        """
        self.store.startService()

        def job(connection: sqlite3.Connection) -> None:
            mailbox.enter(connection, [DRAFT])
            raise KeyError("half-way")

        self.failureResultOf(self.store.write(job), KeyError)
        with closing(sqlite3.connect(self.path)) as connection:
            self.assertEqual(mailbox.listed(connection), [])
