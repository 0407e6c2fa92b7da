"""
All that the page's port serves, and who may have what. What is not named here is not there.

    /  /static/*  /favicon.ico      the page: everybody
    /healthz  /readyz               whether it runs, and whether it can store: everybody
    /api/v1/session                 logging in and out
    what devices push to            whoever has the token of that listener
    /api/v1/*  /metrics             users; without any, whoever reaches the port

With a reason as JSON, what is wrong is answered by 400, 401 (log in), 403 (not for you, or a
foreign page asks), 404, 405, 421 (called by a name that is not ours) or 429 (too many tries).
"""

from base64 import b64decode
from collections.abc import Callable, Container
from typing import Any

from msgspec import Struct
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET

from sensord.control.query import Fault, Trouble, document, reply
from sensord.text import plain
from sensord.web.logins import Limited, Logins
from sensord.web.origins import SAFE, Origins, local
from sensord.web.pages import Pages, send
from sensord.web.session import Session, Sessions, User
from sensord.web.settings import OPERATOR
from sensord.wire.push import PATHS, place

#: Where devices push to, when that is on the page's port.
PUSHED = PATHS

#: The cookie of a session.
_COOKIE = b"sensord"

#: What every answer says to browsers: take nothing from elsewhere, be nowhere else's part.
_HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        b" connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"server", b"sensord"),
)


class Login(Struct, frozen=True):
    """
    What somebody shows who wants to log in.
    """

    name: str
    password: str


class Me(Struct, frozen=True):
    """
    Who somebody is.

    @ivar user: L{None} if there are no users.
    @ivar login: whether there are.
    """

    user: str | None
    role: str
    login: bool


class Root(Resource):
    """
    The root of the site.

    @ivar logins: who may log in.
    @ivar origins: the names that we have.
    @param push: what takes readings from devices; L{None} if that is not here.
    @param metrics: L{None} if there are none.
    @param ready: why nothing can be stored; empty if it can.
    """

    isLeaf = True
    _log = Logger()

    def __init__(
        self,
        sessions: Sessions,
        logins: Logins,
        origins: Origins,
        pages: Pages,
        api: IResource,
        push: IResource | None,
        metrics: IResource | None,
        ready: Callable[[], str],
    ) -> None:
        super().__init__()
        self._sessions = sessions
        self.logins = logins
        self.origins = origins
        self._pages = pages
        self._api = api
        self._push = push
        self._metrics = metrics
        self._ready = ready
        self._asked: dict[Any, User] = {}

    def render(self, request: Any) -> Any:
        """
        See L{IResource.render}.
        """
        for name, value in _HEADERS:
            request.setHeader(name, value)
        serving = Deferred.fromCoroutine(self._serve(request))
        serving.addErrback(self._failed, request)
        return NOT_DONE_YET

    async def _serve(self, request: Any) -> None:
        try:
            self.origins.asked(request)
            if not self.logins:
                self.origins.called(request, _host(request.getHost()))
            await self._dispatch(request)
        except Fault as fault:
            if isinstance(fault, Limited):
                request.setHeader(b"retry-after", b"%d" % fault.seconds)
            _answer(request, Trouble(fault.why), fault.status)

    async def _dispatch(self, request: Any) -> None:
        path = request.path
        if path == b"/":
            self._pages.answer(request, "index.html")
        elif path.startswith(b"/static/"):
            self._pages.answer(request, path.removeprefix(b"/static/").decode("latin-1"))
        elif path == b"/favicon.ico":  # browsers ask for it, whatever the page says
            request.setResponseCode(204)
            send(request, b"")
        elif path == b"/healthz":
            _answer(request, {"healthy": True})
        elif path == b"/readyz":
            if why := self._ready():
                raise Fault(503, why)
            _answer(request, {"ready": True})
        elif path == b"/api/v1/session":
            await self._session(request)
        elif place(path) is not None and self._push is not None:
            request.render(self._push)
        elif path.startswith(b"/api/v1/"):
            await self._guarded(request, self._api)
        elif path == b"/metrics" and self._metrics is not None:
            request.setHeader(b"cache-control", b"no-store")
            await self._guarded(request, self._metrics, b'Basic realm="sensord", charset="UTF-8"')
        else:
            raise Fault(404, "there is no such page")

    async def _guarded(
        self, request: Any, resource: IResource, challenge: bytes = b'Session realm="sensord"'
    ) -> None:
        """
        Serve what is for users only.

        @param challenge: how to tell that. Told of Basic, browsers would ask for a password
            themselves, in the middle of the page.
        """
        gone = _Gone(request)
        try:
            user, session = await self._user(request)
        except Fault as fault:
            if fault.status == 401:
                request.setHeader(b"www-authenticate", challenge)
            raise
        if request.method not in SAFE and user.role != OPERATOR:
            raise Fault(403, f"{user.name} may look, and change nothing")
        if gone:
            return
        request.login = user.name or ""
        if request.method in SAFE:  # which may be events, that have no end by themselves
            self._asked[request] = user
            gone.then(lambda: self._asked.pop(request))
            if session is not None:
                gone.then(session.watch(lambda: _cut(request)))
        request.render(resource)

    def part(self, kept: Container[str]) -> None:
        """
        End what is asked just now, but for what some users ask.
        """
        for request, user in tuple(self._asked.items()):
            if user.name is None or user.name not in kept:
                _cut(request)

    async def _user(self, request: Any) -> tuple[User, Session | None]:
        """
        Who asks, and in which session.

        @raise Fault: if that is nobody.
        """
        if not self.logins:
            # A link may be older than the settings: it was let in when there were users.
            if not local(request.getHost()):
                raise Fault(403, "there are no users, so that this is for this machine only")
            return User(None, OPERATOR), None
        token = _token(request)
        session = self._sessions.find(token) if token else None
        if session is not None:
            return session.user, session
        shown = _basic(request)
        if shown is None:
            raise Fault(401, "log in first")
        logins = self.logins
        user = await logins.remembered(shown.name, shown.password, _host(_peer(request)))
        self._still(logins)
        if user is None:
            raise Fault(401, "there is nobody of that name and password")
        return user, None

    async def _session(self, request: Any) -> None:
        """
        Tell who somebody is, or let somebody in or out.
        """
        if request.method in (b"GET", b"HEAD"):
            user, _session = await self._user(request)
            _answer(request, Me(user.name, user.role, bool(self.logins)))
        elif request.method == b"POST":
            await self._enter(request)
        elif request.method == b"DELETE":
            self._sessions.end(_token(request))
            _bake(request, "", b"; Max-Age=0")
            _answer(request, {})
        else:
            request.setHeader(b"allow", b"DELETE, GET, HEAD, POST")
            raise Fault(405, "/api/v1/session takes DELETE, GET, HEAD, POST only")

    async def _enter(self, request: Any) -> None:
        if not self.logins:
            raise Fault(409, "there are no users; whoever is here may do all")
        gone, shown = _Gone(request), document(request, Login)
        host = _host(_peer(request))
        logins = self.logins
        user = await logins.check(shown.name, shown.password, host)
        if gone:
            return
        self._still(logins)
        if user is None:
            raise Fault(401, "there is nobody of that name and password")
        # The token is a new one, whatever the browser had: nobody has given it to whom it knows.
        self._sessions.end(_token(request))
        _bake(request, self._sessions.begin(user))
        self._log.info("web: {user} has logged in from {host}", user=user.name, host=host or "here")
        _answer(request, Me(user.name, user.role, True))

    def _still(self, logins: Logins) -> None:
        """
        See that nobody is let in who was removed while that was checked.

        @raise Fault: if the users are not what they were.
        """
        if logins is not self.logins:
            raise Fault(503, "the users have just changed; try again")

    def _failed(self, failure: Failure, request: Any) -> None:
        path = plain(request.path.decode("utf-8", "replace"))
        self._log.failure("web: {path}", failure, path=path)
        if request.channel is not None and not request.startedWriting:
            _answer(request, Trouble("something is wrong here; see the log"), 500)


class _Gone:
    """
    Whether a request is over, or whoever asked has hung up.
    """

    def __init__(self, request: Any) -> None:
        self._gone = False
        self._then: list[Callable[[], object]] = []
        request.notifyFinish().addBoth(self._over)

    def __bool__(self) -> bool:
        return self._gone

    def then(self, call: Callable[[], object]) -> None:
        """
        Do something when it is.
        """
        self._then.append(call)

    def _over(self, _result: object) -> None:
        self._gone = True
        for call in self._then:
            call()


def _answer(request: Any, answer: object, status: int = 200) -> None:
    """
    Answer by JSON, unless whoever asked has hung up.
    """
    body = reply(request, answer, status)
    if request.channel is not None:
        send(request, body)


def _cut(request: Any) -> None:
    request.transport.abortConnection()


def _bake(request: Any, token: str, more: bytes = b"") -> None:
    """
    Give a browser the cookie of a session. It goes nowhere in the clear if it has come by TLS, be
    it that of a proxy.
    """
    secure = request.isSecure() or (request.getHeader(b"origin") or b"").startswith(b"https:")
    crumbs = b"%s=%s; Path=/; HttpOnly; SameSite=Strict" % (_COOKIE, token.encode())
    request.cookies.append(crumbs + (b"; Secure" if secure else b"") + more)


def _token(request: Any) -> str:
    """
    The token of a session that a browser shows; empty without one.
    """
    token: bytes = request.getCookie(_COOKIE) or b""
    return token.decode("ascii", "replace")


def _basic(request: Any) -> Login | None:
    """
    The name and the password that a program shows with its request.

    @raise Fault: if they are none.
    """
    kind, _, shown = (request.getHeader(b"authorization") or b"").strip().partition(b" ")
    if kind.lower() != b"basic":
        return None
    try:
        name, colon, password = b64decode(shown.strip(), validate=True).decode().partition(":")
    except ValueError as error:
        raise Fault(401, "the field Authorization makes no sense") from error
    if not colon:
        raise Fault(401, "the field Authorization makes no sense")
    return Login(name, password)


def _peer(request: Any) -> object:
    return request.getClientAddress()


def _host(address: object) -> str:
    """
    The host of an address; empty for what has none.
    """
    return address.host if isinstance(address, IPv4Address | IPv6Address) else ""
