"""
How much memory requests may take together.
"""

#: What is said to who does not show the token.
WRONG = "authorization failed: the token is missing or wrong"


class Rooms:
    """
    The room for many requests.

    @param most: bytes of all of them.
    @param each: bytes of one that cannot be trusted; 0 if they all can.
    """

    def __init__(self, most: int, each: int = 0) -> None:
        self._most = most
        self._each = each
        self._taken = 0

    def room(self, most: int) -> "Room":
        """
        The room for one.

        @param most: bytes of it, if it can be trusted.
        """
        if self._each and self._each < most:
            return Room(self, self._each, (401, WRONG))
        return Room(self, most, (413, f"the body is longer than {most} bytes"))

    def take(self, count: int) -> bool:
        """
        Whether there is room for some more bytes, which are there from then on; there are less if
        it is negative.
        """
        if count > 0 and self._taken + count > self._most:
            return False
        self._taken += count
        return True


class Room:
    """
    The room for one request, or for what it was unpacked to. See L{sensord.control.channel.Body}.
    """

    def __init__(self, rooms: Rooms, most: int, excess: tuple[int, str]) -> None:
        self.most = most
        self.excess = excess
        self._rooms = rooms
        self._taken = 0

    def take(self, count: int) -> bool:
        """
        Some bytes have come.
        """
        if not self._rooms.take(count):
            return False
        self._taken += count
        return True

    def close(self) -> None:
        """
        It is not needed any more.
        """
        self._rooms.take(-self._taken)
        self._taken = 0
