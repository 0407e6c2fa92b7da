"""
C{twistd sensord}: the options, and the daemon on one screen.
"""

import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, TextIO

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred, succeed
from twisted.internet.error import CannotListenError, ReactorNotRunning
from twisted.logger import Logger
from twisted.python import usage

from sensord import __version__, demo
from sensord.clock import steady
from sensord.config import DEFAULTS, ConfigError, Settings, dump
from sensord.gateway import Gateway
from sensord.listeners import DoorSettings
from sensord.notify import Notifier, summary
from sensord.reloading import Origin, checked
from sensord.station.service import Source, Station
from sensord.station.translation import ALONE
from sensord.store.schema import StoreError
from sensord.supervision import STARTED, Leash

_CONFIG = Path("sensord.toml")

#: Seconds after which a second signal to stop ends the process at once, if the reactor has not even
#: noticed the first. Two that come together are no sign of that: some send SIGTERM and SIGHUP.
_STUCK = 1.0

#: File descriptors that are needed beside those of connections.
_SPARE = 50


class Options(usage.Options):
    """
    What C{twistd sensord} can be told.
    """

    synopsis = "[options]"
    longdesc = (
        "A sensor gateway: it takes in the readings of small sensors, stores each one durably"
        " before it says so, and passes them on. Without --config it reads ./sensord.toml if there"
        " is one; else it listens on loopback and stores in ./sensord.sqlite."
    )
    optParameters: ClassVar = [
        ["config", "c", None, "The configuration file."],
        ["config-emoncms", None, None, "The URL of an emoncms that sets the radio and its keys."],
    ]
    optFlags: ClassVar = [
        ["check", None, "Check the configuration, say what is wrong with it, and exit."],
        ["show-settings", None, "Print the settings in effect, and exit."],
        ["example", None, "Print a commented configuration file, and exit."],
        ["demo", None, "Run with pretend devices on loopback; stores in ./sensord-demo.sqlite."],
        ["supervised", None, "End when the standard input ends, as a hub manager wants it."],
    ]
    settings: Settings
    origin: Origin | None = None

    def opt_version(self) -> None:
        """
        Print the version, and exit.
        """
        print(f"sensord {__version__}")
        raise SystemExit(0)

    def postOptions(self) -> None:
        """
        Read the configuration, and do what needs no daemon.
        """
        if self["example"]:
            print(files("sensord").joinpath("example.toml").read_text(encoding="utf-8"), end="")
            raise SystemExit(0)
        try:
            self.settings = self._load(self["check"] or not self["show-settings"])
        except ConfigError as error:
            raise SystemExit(str(error)) from error
        if self["show-settings"]:
            print(dump(self.settings), end="")
        if self["check"]:
            print("the configuration is good", file=sys.stderr)
        if self["check"] or self["show-settings"]:
            raise SystemExit(0)

    def _load(self, check: bool) -> Settings:
        """
        @param check: whether to look also for what only shows when the settings are put to use.
        """
        from twisted.internet import reactor

        if self["config"] and self["demo"]:
            raise ConfigError(["--demo: brings its own settings, and takes no --config"])
        if self["demo"]:
            return checked(reactor, demo.SETTINGS, "--demo") if check else demo.SETTINGS
        path = Path(self["config"] or _CONFIG)
        if url := self["config-emoncms"]:
            fallback = None if self["config"] else ALONE
            self.origin = Source(reactor, Origin(reactor, path, fallback), url)
        else:
            self.origin = Origin(reactor, path, None if self["config"] else DEFAULTS)
        return self.origin.load() if check else self.origin.read()


class StartError(Exception):
    """
    The daemon cannot start; one line says why.
    """


def _explain(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """
    What twistd ends with when the start fails: an exception that nobody catches. (An exit would
    leave its parent in the foreground waiting for ever.) Those who made a mistake want to read
    the reason, not our stack.
    """
    if kind is StartError:
        print(f"sensord: {error}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


class Daemon(Service):
    """
    The gateway as a process: one that cannot start says why in one line and exits with 1, and
    one that is told to stop exits with 0.

    @param extras: services that run beside the gateway.
    @param terminal: where whoever starts it can read why it does not. It is closed.
    @param supervised: whether it ends with its standard input.
    @param notifier: tells systemd how it is.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        gateway: Gateway,
        extras: Sequence[Service],
        terminal: TextIO | None = None,
        supervised: bool = False,
        notifier: Notifier | None = None,
    ) -> None:
        self.gateway = gateway
        self._notifier = notifier or Notifier(reactor, str, {})
        self._reactor = reactor
        self._extras = extras
        self._terminal = terminal
        self._leash: Leash | None = None
        if supervised:
            self._leash = Leash(reactor, lambda: self._end("the supervisor is gone"))
        self._told: float | None = None
        self._seated = False
        self._ending = False
        self._interrupt: Any = signal.SIG_DFL

    def startService(self) -> None:
        """
        Start the gateway.

        @raise StartError: if it cannot be started.
        """
        try:
            self._start()
        finally:
            if self._terminal is not None:
                self._terminal.close()
        super().startService()
        self._reactor.callWhenRunning(self._running)

    def _start(self) -> None:
        settings = self.gateway.settings
        doors = [one for one in settings.listeners if isinstance(one, DoorSettings)]
        wanted = sum(one.max_connections for one in doors if one.listen)
        wanted += settings.web.max_connections if settings.web is not None else 0
        if wanted + _SPARE > (limit := _raiseLimit()):
            self._log.warn(
                "max_connections are {wanted} together, but the system allows {limit} open files",
                wanted=wanted,
                limit=limit,
            )
        self._seated = _seated()  # not before the fork, which parts with the terminal
        steady(self._reactor)
        if self._leash is not None:
            # At a terminal, Ctrl-C goes to all who run there: it is for the supervisor.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._catch(signal.SIGTERM, signal.SIGHUP)
        try:
            for extra in self._extras:
                extra.startService()
            self.gateway.startService()
        except (ConfigError, StoreError, CannotListenError) as error:
            for extra in self._extras:
                if extra.running:
                    extra.stopService()
            sys.excepthook = _explain
            raise self._failed(str(error)) from error

    def stopService(self) -> Deferred[None]:
        """
        Stop the gateway.
        """
        super().stopService()
        self._notifier.stopService()
        if self._leash is not None:
            self._leash.stop()
        stopped = gatherResults([maybeDeferred(extra.stopService) for extra in self._extras])
        return stopped.addCallback(lambda _results: self.gateway.stopService())

    def _failed(self, why: str) -> StartError:
        """
        Tell why there is no start. In the background, where nobody reads what is printed, twistd's
        parent shows the last line of the exception, but as the bytes of which only so many fit
        through its pipe.
        """
        if self._terminal is not None and not os.path.sameopenfile(2, self._terminal.fileno()):
            with suppress(OSError):
                print(f"sensord: {why}", file=self._terminal, flush=True)
        error = StartError(why)
        error.add_note(why.partition("\n")[0])
        return error

    def _catch(self, *numbers: int) -> None:
        """
        Twisted's own way to end by SIGTERM is to die of it, which is no success to those who look
        at exit codes. SIGHUP has the configuration read anew; but when it comes since the terminal
        was closed, it is to end as SIGTERM does. Twisted sets its handlers when the reactor begins,
        but a signal that comes before is to end it orderly, too.
        """
        for number in numbers:
            signal.signal(number, self._caught)

    def _running(self) -> None:
        self._catch(signal.SIGTERM, signal.SIGHUP)
        # Ctrl-C ends it in Twisted's own way: shells want to see that it died of it.
        self._interrupt = signal.getsignal(signal.SIGINT)
        if callable(self._interrupt):
            self._catch(signal.SIGINT)
        self._notifier.startService()
        if self._leash is not None:
            self._log.info(STARTED)
            self._leash.start()

    def _caught(self, number: int, frame: object) -> None:
        if number == signal.SIGHUP and not self._hungUp():
            self._reactor.callFromThread(self._again)
            return
        now = time.monotonic()
        if self._told is None:
            self._told = now
            if number == signal.SIGINT:
                self._interrupt(number, frame)
            self._reactor.callFromThread(self._end, signal.Signals(number).name)
        elif not self._ending and now - self._told >= _STUCK:
            # Something keeps the reactor from its work, such as a loop that was typed at the
            # manhole. Nothing that was acknowledged is lost by this.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _hungUp(self) -> bool:
        """
        Whether the terminal that this was started from is gone.
        """
        return self._seated and not _seated()

    def _again(self) -> None:
        self._notifier.reloading()
        done: Deferred[object] = succeed(None)
        if self.gateway.reloader is None:
            self._log.warn("SIGHUP: there is no configuration that could be read anew")
        else:
            done = self.gateway.reloader.attempt("SIGHUP")
        done.addCallback(lambda _done: self._notifier.ready())

    def _end(self, why: str) -> None:
        self._ending = True
        self._log.info("{why}: stopping", why=why)
        with suppress(ReactorNotRunning):  # it is being stopped already, by Ctrl-C say
            self._reactor.stop()


def _raiseLimit() -> int:
    """
    Many connections need many file descriptors: take as many as the system lets us have.

    @return: how many those are.
    """
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def makeService(options: Options) -> IService:
    """
    Build the daemon. Nothing is opened before it is started.
    """
    from twisted.internet import reactor

    gateway = Gateway(reactor, options.settings, now=time.time, origin=options.origin)
    extras = demo.extras(reactor, gateway) if options["demo"] else []
    if isinstance(options.origin, Source):
        extras.append(Station(reactor, gateway, options.origin))
    notifier = Notifier(reactor, lambda: summary(gateway))
    return Daemon(reactor, gateway, extras, _terminal(), bool(options["supervised"]), notifier)


def _seated() -> bool:
    """
    Whether this process belongs to a terminal, which is open.
    """
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _terminal() -> TextIO | None:
    """
    The standard error of whoever starts the daemon, which twistd replaces when it goes to the
    background.
    """
    try:
        return open(os.dup(2), "w", errors="backslashreplace")
    except OSError:  # there is none
        return None
