"""
Tests for L{sensord.outlets}.
"""

from twisted.trial.unittest import SynchronousTestCase

from sensord.outlets import misplaced


class PlaceTests(SynchronousTestCase):
    """
    Where a server is.
    """

    def test_misplaced(self) -> None:
        """
        A URL says where a server is, and neither who asks nor for what.
        """
        for url in (
            "http://localhost:8086",
            "https://db.example.org/influx",
            "http://[::1]:8086/",
            "http://10.0.0.1",
        ):
            self.assertEqual(list(misplaced(url)), [])
        for url in (
            "",
            "localhost:8086",
            "localhost",
            "ftp://localhost",
            "http://",
            "http://:8086",
            "http://localhost:port",
            "http://localhost:99999",
            "http://[::1",
            "http://local host",
            "http://küche:8086",
            "http://me:secret@localhost",
            "http://localhost/?db=x",
            "http://localhost/#x",
        ):
            faults = list(misplaced(url))
            self.assertEqual(len(faults), 1, url)
            self.assertTrue(faults[0].startswith("url: "))
            self.assertNotIn("secret", faults[0])
