"""
Exporting readings by the control API: as CSV, a page after the other, as fast as whoever asked can
read it and no faster.
"""

from collections.abc import Callable
from io import StringIO
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from sensord.control.answers import Names
from sensord.control.asked import Extract
from sensord.control.asking import answered
from sensord.control.descriptions import slug
from sensord.control.query import Fault, instant, parameters
from sensord.store.archive import Archive
from sensord.store.service import Store
from sensord.text import FORMATS

#: How many exports there can be at a time. Without a limit, a few dozen would leave no time for
#: other questions.
MAX_EXPORTS = 4

#: Seconds that a client may read nothing. Without a limit, those that stop in the middle would keep
#: all others from exporting for ever.
PATIENCE = 60.0


class Exports:
    """
    All exports that are under way.
    """

    _log = Logger()

    def __init__(self, clock: Any, store: Store, names: Names) -> None:
        self._clock = clock
        self._store = store
        self._names = names
        self._downloads: list[Download] = []

    def close(self) -> None:
        """
        End all of them.
        """
        for download in tuple(self._downloads):
            download.cut()

    async def serve(self, request: Any, now: float) -> None:
        """
        Send what a request asks for.

        @param now: in seconds since the epoch.
        @raise Fault: if that makes no sense, or cannot be begun.
        """
        asked = parameters(request, Extract)
        device = self._names.label(asked.device)
        start, end = instant("start", asked.start, now), instant("end", asked.end, now)
        name = "-".join(part for part in (slug(device), slug(asked.name)) if part)
        if request.method == b"HEAD":
            _begin(request, name)
            return
        if len(self._downloads) >= MAX_EXPORTS:
            raise Fault(503, f"{MAX_EXPORTS} exports are under way already")
        pages = _Pages(self._store.archive, device, asked.name, start, end)
        download = Download(request, self._clock)
        self._downloads.append(download)
        try:
            data = await self._next(pages)  # what cannot even begin is an error yet
            _begin(request, name)
            await download.run(data, lambda: self._next(pages))
        finally:
            self._downloads.remove(download)

    async def _next(self, pages: "_Pages") -> bytes | None:
        return await answered(self._store.read(lambda _connection: pages.next()))


@implementer(IPushProducer)
class Download:
    """
    One response in pieces.
    """

    _log = Logger()

    def __init__(self, request: Any, clock: Any) -> None:
        self._request = request
        self._clock = clock
        self._choked: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None

    async def run(self, data: bytes | None, more: Callable[[], Any]) -> None:
        """
        Send all pieces.

        @param data: the first.
        @param more: gives the next one; L{None} if there is none.
        """
        self._request.registerProducer(self, True)
        try:
            while data is not None:
                if data:
                    self._request.write(data)
                if self._choked is not None:
                    await self._choked
                data = await more()
        except Fault as error:
            self._log.warn("an export ends in the middle: {error}", error=error)
            self.cut()
            await Deferred[None]()  # until the end of the link ends this, too
        finally:
            self._stop()
        self._request.unregisterProducer()

    def cut(self) -> None:
        """
        End it in the middle, so that nobody takes what has come for all.
        """
        if self._request.transport is not None:
            self._request.transport.abortConnection()

    def pauseProducing(self) -> None:
        """
        The client does not read.
        """
        if self._choked is None:
            self._choked = Deferred()
            self._timer = self._clock.callLater(PATIENCE, self.cut)

    def resumeProducing(self) -> None:
        """
        The client has read what was sent.
        """
        self._stop()
        choked, self._choked = self._choked, None
        if choked is not None and not choked.called:
            choked.callback(None)

    def stopProducing(self) -> None:
        """
        The link is gone; the request is told too.
        """
        self._stop()

    def _stop(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None


def _begin(request: Any, name: str) -> None:
    """
    Say what comes.

    @param name: what it is called, but for the ending; it may be empty.
    """
    file = f'attachment; filename="{name or "sensord"}.csv"'
    request.setHeader(b"content-type", b"text/csv; charset=utf-8")
    request.setHeader(b"content-disposition", file.encode())
    request.setHeader(b"cache-control", b"no-store")
    request.setHeader(b"x-content-type-options", b"nosniff")


class _Pages:
    """
    The text, a page at a time. All calls block.
    """

    def __init__(self, archive: Archive, device: str, name: str, start: int, end: int) -> None:
        self._text = StringIO()
        self._write = FORMATS["csv"](self._text)
        self._pages = archive.export(device, name, start, end)

    def next(self) -> bytes | None:
        """
        The next page, which may be empty; L{None} if there is none. The first has the head.
        """
        page = next(self._pages, None)
        if page is not None:
            self._write(page)
        data = self._text.getvalue().encode()
        self._text.seek(0)
        self._text.truncate()
        return None if page is None and not data else data
