"""
Tests for L{sensord.web.root}.
"""

from http.client import HTTPResponse
from typing import Any

from twisted.logger import capturedLogs, formatEvent

from sensord.control.live import MAX_OF_ONE
from sensord.web.root import PUSHED
from sensord.web.session import LIFE
from tests.web.support import ANNA, PASSWORD, VERA, Browser, WebTestCase, basic

_COMMAND = {"address": "workshop", "variable": "LED", "value": 1}


class OpenTests(WebTestCase):
    """
    A page without users, which only this machine reaches.
    """

    def test_operator(self) -> None:
        """
        Whoever is there may do all.
        """
        answer = self.decode(self.call("GET", "/api/v1/session"), 200)
        self.assertEqual(answer, {"user": None, "role": "operator", "login": False})
        self.assertEqual(len(self.decode(self.call("GET", "/api/v1/listeners"), 200)), 2)
        self.assertEqual(self.call("POST", "/api/v1/commands", _COMMAND).status, 202)
        self.assertEqual(self.call("GET", "/metrics").read(), b"metrics of /metrics")

    def test_noLogin(self) -> None:
        """
        Nobody can log in, and to log out does no harm.
        """
        self.assertIn("there are no users", self.refused(self.enter(), 409))
        self.assertEqual(self.call("DELETE", "/api/v1/session").status, 200)

    def test_rebound(self) -> None:
        """
        A browser that knows the page by a foreign name gets nothing: not even the page.
        """
        for path in ("/", "/healthz", "/api/v1/devices", "/metrics", "/write", "/api/v1/session"):
            response = self.call("GET", path, Host="evil.example.com")
            self.assertIn("evil.example.com", self.refused(response, 421))

    def test_foreign(self) -> None:
        """
        A foreign page cannot do anything, nor ask, nor push.
        """
        for fields in ({"Origin": "http://evil.example.com"}, {"Sec_Fetch_Site": "cross-site"}):
            for path in ("/api/v1/commands", "/write", "/api/v1/session"):
                self.refused(self.call("POST", path, _COMMAND, **fields), 403)
            self.refused(self.call("GET", "/api/v1/events", **fields), 403)
        self.assertEqual(self.decode(self.call("GET", "/api/v1/commands"), 200), [])

    def test_health(self) -> None:
        """
        Others can see that it runs, and whether it can store; if not, why.
        """
        self.assertEqual(self.decode(self.call("GET", "/healthz"), 200), {"healthy": True})
        self.assertEqual(self.decode(self.call("GET", "/readyz"), 200), {"ready": True})
        self.why = "disk full"
        self.assertEqual(self.decode(self.call("GET", "/healthz"), 200), {"healthy": True})
        self.assertEqual(self.refused(self.call("GET", "/readyz"), 503), "disk full")
        self.assertEqual(self.call("HEAD", "/readyz").status, 503)

    def test_pushed(self) -> None:
        """
        What devices push goes to where it is taken, and nothing beside it.
        """
        for pushed in PUSHED:
            response = self.call("POST", pushed.decode())
            self.assertEqual(response.read(), b"push of " + pushed)
        for path in ("/write/", "/input", "/input/post.html", "//write", "/%77rite"):
            self.refused(self.call("POST", path), 404)

    def test_elsewhere(self) -> None:
        """
        What is not there is not there.
        """
        for path in (
            "/index.html",
            "/api",
            "/api/v1",
            "/api/v2/devices",
            "//api/v1/devices",
            "/%61pi/v1/devices",
            "/API/v1/devices",
            "/static",
            "/metrics/",
            "/%ff",
            "http://localhost:8080/api/v1/devices",
            "nonsense",
        ):
            self.refused(self.call("GET", path), 404)
        self.refused(self.call("GET", "/api/v1/nowhere"), 404)
        self.assertEqual(self.call("GET", "/favicon.ico").status, 204)

    def test_headers(self) -> None:
        """
        Every answer keeps browsers from taking in, or being taken in by, anything from elsewhere.
        """
        for response in (
            self.call("GET", "/"),
            self.call("GET", "/static/app.css"),
            self.call("GET", "/nowhere"),
            self.call("GET", "/api/v1/devices"),
            self.call("GET", "/api/v1/nowhere"),
            self.call("POST", "/api/v1/commands"),
            self.call("POST", "/write"),
            self.call("GET", "/metrics"),
            self.call("GET", "/healthz", Host="evil.example.com"),
        ):
            policy = str(response.headers["Content-Security-Policy"])
            self.assertIn("default-src 'none'; script-src 'self'; style-src 'self'", policy)
            self.assertNotIn("unsafe", policy)
            self.assertEqual(response.headers["X-Content-Type-Options"], "nosniff")
            self.assertEqual(response.headers["Referrer-Policy"], "no-referrer")
            for name in ("Opener", "Resource"):
                self.assertEqual(response.headers[f"Cross-Origin-{name}-Policy"], "same-origin")
            self.assertIsNone(response.headers["Access-Control-Allow-Origin"])
            self.assertEqual(response.headers.get_all("Server"), ["sensord"])

    def test_noNames(self) -> None:
        """
        Programs may leave out what only browsers need to say, or say it in the oldest HTTP.
        """
        self.assertEqual(self.call("GET", "/healthz", Host="").status, 200)
        browser = Browser(self)
        browser.send(b"GET /healthz HTTP/1.0\r\n\r\n")
        self.assertEqual(self.response(browser.taken()).status, 200)

    def test_broken(self) -> None:
        """
        What fails by our fault is logged, and answered without a word about how.
        """

        def broken() -> str:
            raise RuntimeError("secret")

        self.web._root._ready = broken
        why = self.refused(self.call("GET", "/readyz"), 500)
        self.assertEqual(why, "something is wrong here; see the log")
        [failure] = self.flushLoggedErrors(RuntimeError)
        self.assertEqual(str(failure.value), "secret")


class BareTests(WebTestCase):
    """
    A page beside which nothing is pushed.
    """

    push = False

    def test_notPushed(self) -> None:
        """
        Then these places are not there.
        """
        for path in PUSHED:
            self.assertIn(self.call("POST", path.decode()).status, (404, 405), path)


class UserTests(WebTestCase):
    """
    A page with users.
    """

    users = (ANNA, VERA)

    def me(self, **fields: str) -> Any:
        """
        Who that is.
        """
        return self.decode(self.call("GET", "/api/v1/session", **fields), 200)

    def stream(self, **fields: str) -> Browser:
        """
        Follow events.
        """
        browser = Browser(self)
        browser.send(self.head("GET", "/api/v1/events", **fields))
        self.assertIn(b"text/event-stream", browser.taken())
        return browser

    def test_closed(self) -> None:
        """
        Who has not logged in gets the page, the health and nothing else.
        """
        for path in ("/", "/static/app.js", "/healthz", "/readyz"):
            self.assertEqual(self.call("GET", path).status, 200)
        for method, path in (
            ("GET", "/api/v1/session"),
            ("GET", "/api/v1/devices"),
            ("GET", "/api/v1/events"),
            ("GET", "/api/v1/nowhere"),
            ("POST", "/api/v1/commands"),
            ("OPTIONS", "/api/v1/commands"),
            ("HEAD", "/api/v1/devices"),
            ("NONSENSE", "/api/v1/devices"),
            ("GET", "/metrics"),
        ):
            response = self.call(method, path)
            self.assertEqual(response.status, 401, (method, path))
        self.assertEqual(self.refused(self.call("GET", "/api/v1/devices"), 401), "log in first")

    def test_challenge(self) -> None:
        """
        Browsers are not told to ask for a password themselves, but for metrics.
        """
        for path, kind in (("/api/v1/devices", "Session"), ("/metrics", "Basic")):
            said = str(self.call("GET", path).headers["WWW-Authenticate"])
            self.assertTrue(said.startswith(f'{kind} realm="sensord"'), said)

    def test_enter(self) -> None:
        """
        Who logs in is given a cookie that scripts and other sites cannot use, and is known by it.
        """
        response = self.enter()
        me = {"user": "anna", "role": "operator", "login": True}
        said = str(response.headers["Set-Cookie"])
        self.assertEqual(self.decode(response, 200), me)
        cookie, _, rest = said.partition(";")
        self.assertRegex(cookie, "^sensord=[A-Za-z0-9_-]{43}$")
        self.assertEqual(rest, " Path=/; HttpOnly; SameSite=Strict")
        self.assertEqual(self.me(Cookie=cookie), me)
        self.assertEqual(self.me(Cookie=f"a=b; {cookie}; c=d"), me)
        response = self.call("POST", "/api/v1/commands", _COMMAND, Cookie=cookie)
        self.assertEqual(self.decode(response, 202)["who"], "anna")

    def test_secure(self) -> None:
        """
        The cookie of a page that came by TLS does not go out in the clear: also if the TLS is that
        of a proxy.
        """
        response = self.enter(Origin="https://gate.lan", Host="gate.lan")
        self.assertTrue(str(response.headers["Set-Cookie"]).endswith("; Secure"))

    def test_wrong(self) -> None:
        """
        A wrong name or password is refused alike.
        """
        said = {self.refused(self.enter(*pair), 401) for pair in (("anna", "x"), ("otto", "x"))}
        self.assertEqual(said, {"there is nobody of that name and password"})

    def test_nonsense(self) -> None:
        """
        What is no login is refused before anything is checked.
        """
        bodies: list[object] = [None, [], {}, {"name": "anna"}, {"name": {}}]
        for body in (*bodies, {"name": "anna", "password": 1}):
            self.refused(self.call("POST", "/api/v1/session", body), 400)
        login = {"name": "anna", "password": PASSWORD}
        form = self.call("POST", "/api/v1/session", login, Content_Type="text/plain")
        self.refused(form, 400)
        foreign = self.enter(Origin="http://evil.example.com")
        self.refused(foreign, 403)
        self.refused(self.call("PUT", "/api/v1/session"), 405)
        self.assertEqual(self.runner.calls, 0)

    def test_oddPassword(self) -> None:
        """
        Passwords may be any text; half a character is none.
        """
        for password in ("\0", "ä" * 999, "\u202e", "\U0001f600"):
            self.refused(self.enter(password=password), 401)
        for data in (
            rb'{"name": "anna", "password": "\ud800"}',
            b'{"name": "anna", "password": "\xff"}',
        ):
            browser = Browser(self)
            size = str(len(data))
            fields = {"Content_Type": "application/json", "Content_Length": size}
            browser.send(self.head("POST", "/api/v1/session", **fields) + data)
            self.assertIn(self.response(browser.taken()).status, (400, 401))

    def test_limited(self) -> None:
        """
        Who tries too often is told how long to wait.
        """
        for _ in range(10):
            self.assertEqual(self.enter(password="x", host="10.0.0.1").status, 401)
        response = self.enter(host="10.0.0.1")
        self.assertEqual(response.headers["Retry-After"], "30")
        self.refused(response, 429)
        response = self.call("GET", "/metrics", host="10.0.0.1", Authorization=basic("anna"))
        self.refused(response, 429)
        self.assertEqual(self.enter(host="10.0.0.2").status, 200)

    def test_viewer(self) -> None:
        """
        A viewer may look, and change nothing.
        """
        cookie = self.cookie("vera")
        self.assertEqual(self.call("GET", "/api/v1/devices", Cookie=cookie).status, 200)
        self.assertEqual(self.call("GET", "/metrics", Cookie=cookie).status, 200)
        for method in ("POST", "PUT", "DELETE", "PATCH", "NONSENSE"):
            response = self.call(method, "/api/v1/commands", _COMMAND, Cookie=cookie)
            self.assertEqual(self.refused(response, 403), "vera may look, and change nothing")
        self.assertEqual(self.call("DELETE", "/api/v1/session", Cookie=cookie).status, 200)

    def test_basic(self) -> None:
        """
        Programs may show a name and a password with each request.
        """
        said = basic("anna")
        self.assertEqual(self.call("GET", "/metrics", Authorization=said).status, 200)
        response = self.call("POST", "/api/v1/commands", _COMMAND, Authorization=said)
        self.assertEqual(self.decode(response, 202)["who"], "anna")
        self.assertIsNone(response.headers["Set-Cookie"])
        self.assertEqual(self.me(Authorization=said)["user"], "anna")
        self.assertEqual(self.runner.calls, 1)
        viewer = self.call("POST", "/api/v1/commands", _COMMAND, Authorization=basic("vera"))
        self.refused(viewer, 403)

    def test_basicForeign(self) -> None:
        """
        A browser that remembers them does not show them for a foreign page.
        """
        fields = {"Authorization": basic("anna"), "Origin": "http://evil.example.com"}
        self.refused(self.call("POST", "/api/v1/commands", _COMMAND, **fields), 403)

    def test_basicNonsense(self) -> None:
        """
        What is no name and password lets nobody in.
        """
        for said in (
            basic("anna", "x"),
            basic("otto"),
            "Basic",
            "Basic x",
            "Basic /w==",
            "Basic YW5uYQ==",
            "Bearer x",
            "\xff",
            f"{basic('anna')} {basic('anna')}",
        ):
            self.refused(self.call("GET", "/api/v1/devices", Authorization=said), 401)

    def test_leave(self) -> None:
        """
        Who logs out is not known any more, by that cookie, and the browser forgets it.
        """
        cookie = self.cookie()
        response = self.call("DELETE", "/api/v1/session", Cookie=cookie)
        self.assertEqual(self.decode(response, 200), {})
        self.assertTrue(str(response.headers["Set-Cookie"]).startswith("sensord=; Path=/;"))
        self.assertTrue(str(response.headers["Set-Cookie"]).endswith("; Max-Age=0"))
        self.refused(self.call("GET", "/api/v1/session", Cookie=cookie), 401)

    def test_fixation(self) -> None:
        """
        A token that a browser was given by somebody else is not the one of its session, and one
        that it had before ends.
        """
        foreign = "sensord=" + "A" * 43
        response = self.enter(Cookie=foreign)
        self.assertNotIn("A" * 43, str(response.headers["Set-Cookie"]))
        self.refused(self.call("GET", "/api/v1/session", Cookie=foreign), 401)
        before = str(response.headers["Set-Cookie"]).partition(";")[0]
        self.enter("vera", Cookie=before)
        self.refused(self.call("GET", "/api/v1/session", Cookie=before), 401)

    def test_cookies(self) -> None:
        """
        Cookies that are none, or huge, or many, let nobody in and do no harm.
        """
        mine = self.cookie()
        for cookie in (
            "sensord=",
            "sensord",
            "sensord=\xff\xfe",
            "sensord=" + "x" * 3900,
            "; ".join(f"c{number}=x" for number in range(500)),
            mine[:-1],
            mine.upper(),
            f'{mine.replace("=", "=" + chr(34))}"',
        ):
            self.refused(self.call("GET", "/api/v1/session", Cookie=cookie), 401)
        self.refused(self.call("GET", "/api/v1/session", Cookie="x" * 5000), 431)

    def test_injection(self) -> None:
        """
        Nothing that a client says becomes a field of an answer's head.
        """
        for path in ("/static/a%0d%0aX-Evil: 1", "/%0d%0aX-Evil:%201", "/api/v1/x%0d%0aX-Evil:1"):
            head = f"GET {path.replace(' ', '%20')} HTTP/1.1\r\nHost: localhost\r\n\r\n"
            browser = Browser(self)
            browser.send(head.encode())
            self.assertNotIn(b"\r\nX-Evil", browser.taken())
        response = self.enter("anna\r\nX-Evil: 1")
        self.assertIsNone(response.headers["X-Evil"])

    def test_streamEnds(self) -> None:
        """
        Events end with the session: when somebody logs out, and when it was not used for too long.
        """
        cookie, other = self.cookie(), self.cookie()
        mine, others = self.stream(Cookie=cookie), self.stream(Cookie=other)
        self.call("DELETE", "/api/v1/session", Cookie=cookie)
        self.assertTrue(mine.transport.disconnected)
        self.assertFalse(others.transport.disconnected)
        mine.hangUp()
        self.reactor.advance(LIFE)
        self.assertTrue(others.transport.disconnected)
        others.hangUp()
        self.assertEqual(self.web._root._asked, {})

    def test_followers(self) -> None:
        """
        One user can follow only so many times, so that there is room for others.
        """
        vera, anna = self.cookie("vera"), self.cookie()
        streams = []
        for _ in range(MAX_OF_ONE):
            streams.append(Browser(self))
            streams[-1].send(self.head("GET", "/api/v1/events", Cookie=vera))
        self.refused(self.call("GET", "/api/v1/events", Cookie=vera), 503)
        streams.append(Browser(self))
        streams[-1].send(self.head("GET", "/api/v1/events", Cookie=anna))
        self.assertIn(b"200 OK", streams[-1].transport.value())
        for stream in streams:
            stream.hangUp()

    def test_hungUp(self) -> None:
        """
        Who hangs up while a password is checked is not logged in, and what was asked is not done.
        """
        self.runner.holding = True
        fields = {"Content_Type": "application/json", "Authorization": basic("anna")}
        for path, body in (
            ("/api/v1/session", b'{"name": "anna", "password": "correct horse"}'),
            ("/api/v1/commands", b'{"address": "workshop", "variable": "LED", "value": 1}'),
        ):
            browser = Browser(self)
            head = self.head("POST", path, **fields, Content_Length=str(len(body)))
            browser.send(head + body)
            browser.hangUp()
            self.runner.release()
            self.assertEqual(browser.taken(), b"")
        self.runner.holding = False
        self.assertEqual(self.web._sessions._sessions, {})
        answer = self.call("GET", "/api/v1/commands", Authorization=basic("anna"))
        self.assertEqual(self.decode(answer, 200), [])

    def test_slow(self) -> None:
        """
        While passwords are checked, others are served.
        """
        cookie = self.cookie()
        self.runner.holding = True
        browser = Browser(self)
        browser.send(self.head("GET", "/metrics", Authorization=basic("vera")))
        self.assertEqual(browser.taken(), b"")
        self.assertEqual(self.call("GET", "/api/v1/listeners", Cookie=cookie).status, 200)
        self.runner.release()
        self.assertEqual(self.response(browser.taken()).status, 200)

    def test_noTraces(self) -> None:
        """
        The log says who has logged in and from where, and no password.
        """
        with capturedLogs() as events:
            self.enter()
            self.enter(password="hunter2")
        lines = [formatEvent(event) or "" for event in events]
        self.assertIn("web: anna has logged in from 127.0.0.1", lines)
        self.assertNotIn("hunter2", "\n".join(lines))
        self.assertNotIn(PASSWORD, "\n".join(lines))

    def test_anyHost(self) -> None:
        """
        With users it may be called by any name: who has a session has it for one name only.
        """
        response: HTTPResponse = self.call("GET", "/healthz", Host="gate.lan")
        self.assertEqual(response.status, 200)
