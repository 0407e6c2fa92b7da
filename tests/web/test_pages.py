"""
Tests for L{sensord.web.pages}.
"""

import os
import re

from hypothesis import given, strategies

from sensord.web import pages
from sensord.web.pages import FOLDER, Pages
from tests.store.support import folder
from tests.support import PROPERTY
from tests.web.support import WebTestCase


class PageTests(WebTestCase):
    """
    The files of the page.
    """

    def own(self) -> Pages:
        """
        Files of the test's own.
        """
        made = Pages(folder(self))
        self.web._root._pages = made
        made._folder.mkdir(exist_ok=True)
        (made._folder / "lib").mkdir()
        (made._folder / "lib" / "a.js").write_text("let a = 1;\n")
        return made

    def test_root(self) -> None:
        """
        The page itself is at the root, and is asked for each time.
        """
        self.own()
        (self.web._root._pages._folder / "index.html").write_text("<!doctype html>")
        response = self.call("GET", "/")
        self.assertEqual((response.status, response.read()), (200, b"<!doctype html>"))
        self.assertEqual(response.headers["Content-Type"], "text/html; charset=utf-8")
        self.assertEqual(response.headers["Cache-Control"], "no-cache")

    def test_kinds(self) -> None:
        """
        Each file of the page can be had, as what it is.
        """
        for path in FOLDER.rglob("*"):
            if path.is_file():
                self.assertIn(path.suffix, pages._KINDS, path)
                response = self.call("GET", f"/static/{path.relative_to(FOLDER).as_posix()}")
                self.assertEqual(response.status, 200, path)
                self.assertEqual(response.headers["Content-Type"], pages._KINDS[path.suffix])
                self.assertEqual(response.read(), path.read_bytes())

    def test_unchanged(self) -> None:
        """
        A browser that has a file is told so; once the file has changed it gets it anew.
        """
        file = self.own()._folder / "lib" / "a.js"
        first = self.call("GET", "/static/lib/a.js")
        tag = str(first.headers["ETag"])
        self.assertRegex(tag, '^"[0-9a-f]{32}"$')
        for known in (tag, f"W/{tag}", f'"x", {tag}'):
            again = self.call("GET", "/static/lib/a.js", If_None_Match=known)
            self.assertEqual((again.status, again.read()), (304, b""))
            self.assertEqual(again.headers["ETag"], tag)
        file.write_text("let a = 23;\n")
        changed = self.call("GET", "/static/lib/a.js", If_None_Match=tag)
        self.assertEqual((changed.status, changed.read()), (200, b"let a = 23;\n"))

    def test_head(self) -> None:
        """
        HEAD tells the same, without the file.
        """
        self.own()
        response = self.call("HEAD", "/static/lib/a.js")
        self.assertEqual((response.status, response.read()), (200, b""))
        self.assertEqual(response.headers["Content-Length"], "11")

    def test_readOnly(self) -> None:
        """
        Nothing else can be done with it.
        """
        for method in ("POST", "PUT", "DELETE", "TRACE", "NONSENSE"):
            response = self.call(method, "/static/lib/api.js")
            self.assertEqual(response.headers["Allow"], "GET, HEAD")
            self.refused(response, 405)

    def test_outside(self) -> None:
        """
        What is not a file of the page is not there, however it is written.
        """
        made = self.own()
        made._folder.with_name("secret.txt").write_text("secret")
        (made._folder / ".hidden.txt").write_text("secret")
        (made._folder / "keys.toml").write_text("secret")
        (made._folder / "folder.txt").mkdir()
        os.mkfifo(made._folder / "pipe")
        for path in (
            "../secret.txt",
            "..%2fsecret.txt",
            "%2e%2e/secret.txt",
            "lib/../../secret.txt",
            "lib/../lib/a.js",
            "..\\secret.txt",
            "/etc/hosts.txt",
            "//etc/hosts.txt",
            str(made._folder.with_name("secret.txt")),
            ".hidden.txt",
            "keys.toml",
            "folder.txt",
            "pipe",
            "lib",
            "lib/",
            "",
            ".",
            "lib/a.js/",
            "lib//a.js",
            "lib/a.js\0.txt",
            "lib/a.js%00",
            "\xff.js",
            "a" * 3000 + ".js",
        ):
            self.assertIsNone(made._find(path), path)
            if path.isprintable() and path.isascii():
                self.refused(self.call("GET", f"/static/{path}"), 404)
        self.assertEqual(self.call("GET", "/static/lib/a.js?v=1").status, 200)

    @PROPERTY
    @given(strategies.text())
    def test_anything(self, path: str) -> None:
        """
        Whatever is asked for, no file elsewhere is looked at.
        """
        found = Pages()._find(path)
        if found is not None:
            self.assertTrue((FOLDER / path).resolve().is_relative_to(FOLDER))

    def test_closed(self) -> None:
        """
        The page asks for nothing from elsewhere, and needs nothing that the headers forbid.
        """
        for path in FOLDER.rglob("*"):
            if path.suffix in (".html", ".css", ".js") and "vendor" not in path.parts:
                text = path.read_text(encoding="utf-8")
                self.assertNotRegex(text, r"""(?:src|href|url\(|import)\s*[=(]?\s*["']?https?:""")
                self.assertNotRegex(text, r"<script(?![^>]*\bsrc=)|<style|\son[a-z]+=|\sstyle=")
                self.assertIsNone(re.search(r"\.innerHTML\s*=|\beval\(|new Function", text), path)
