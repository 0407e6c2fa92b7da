"""
The files of the page.
"""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

from msgspec import Struct
from twisted.web.server import NOT_DONE_YET

from sensord.control.query import Fault

#: Where they lie.
FOLDER = Path(__file__).with_name("static")

#: The kinds of files that are given to browsers, and no others.
_KINDS: Mapping[str, str] = MappingProxyType(
    {
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
        ".png": "image/png",
        ".ico": "image/x-icon",
        ".woff2": "font/woff2",
        ".webmanifest": "application/manifest+json",
        ".txt": "text/plain; charset=utf-8",
    }
)


class _File(Struct, frozen=True):
    stamp: tuple[int, int]
    data: bytes
    tag: bytes


class Pages:
    """
    Files in a folder. They are small: each is kept once it was asked for, until it changes.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._files: dict[Path, _File] = {}

    def answer(self, request: Any, path: str) -> Any:
        """
        Answer by a file.

        @param path: its name, relative to the folder.
        @raise Fault: if there is none.
        """
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"allow", b"GET, HEAD")
            raise Fault(405, "this is a page, which can only be read")
        found = self._find(path)
        if found is None:
            raise Fault(404, "there is no such page")
        kind = _KINDS[Path(path).suffix].encode()
        request.setHeader(b"etag", found.tag)
        # Browsers ask each time whether it has changed, so that nobody has an old page after an
        # update.
        request.setHeader(b"cache-control", b"no-cache")
        if found.tag in (request.getHeader(b"if-none-match") or b""):
            request.setResponseCode(304)
            return send(request, b"")
        request.setHeader(b"content-type", kind)
        request.setHeader(b"content-length", b"%d" % len(found.data))
        return send(request, found.data)

    def _find(self, path: str) -> _File | None:
        """
        A file; L{None} if it is not there, or is for nobody.
        """
        parts = path.split("/")
        plain = all(part and part[0] != "." and part.isascii() for part in parts)
        odd = any(character in path for character in "\\\0:%")
        if not plain or odd or Path(path).suffix not in _KINDS:
            return None
        file = self._folder.joinpath(*parts)
        try:
            stat = file.stat()
            stamp = stat.st_mtime_ns, stat.st_size
            known = self._files.get(file)
            if known is None or known.stamp != stamp:
                data = file.read_bytes()
                known = _File(stamp, data, b'"%s"' % sha256(data).hexdigest()[:32].encode())
                self._files[file] = known
        except OSError:
            return None
        return known


def send(request: Any, body: bytes) -> Any:
    """
    End an answer whose head is complete.
    """
    request.write(body)
    request.finish()
    return NOT_DONE_YET
