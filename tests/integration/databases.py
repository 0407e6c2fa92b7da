"""
Real databases: Debian's influxd and victoria-metrics, for tests to start, stop and kill.
"""

import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any
from unittest import SkipTest
from urllib.parse import urlencode
from urllib.request import urlopen

from msgspec import json

from tests.integration.daemon import PATIENCE, freePort, refused, until

_INFLUXD = """
reporting-disabled = true
bind-address = "127.0.0.1:0"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
  auth-enabled = {secure}
  max-body-size = {most}
"""


class Database:
    """
    One database, which keeps its port and what it has stored when it is started anew.

    @ivar url: where it is.
    """

    program = ""
    package = ""

    def __init__(self, folder: Path) -> None:
        if not shutil.which(self.program):
            raise SkipTest(f"apt-get install {self.package}")
        self.folder = folder
        self.port = freePort()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """
        What starts it.
        """
        raise NotImplementedError

    def start(self) -> None:
        """
        Start it, and wait until it listens.

        @raise AssertionError: if it does not.
        """
        log = self.folder / f"{self.program}.log"
        with log.open("ab") as file:
            process = self._process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )
        until(lambda: process.poll() is not None or not refused(self.port))
        assert process.poll() is None, log.read_text(encoding="utf-8", errors="replace")

    def end(self, number: int = signal.SIGTERM) -> None:
        """
        Send it a signal, and wait for its end.
        """
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE)
            self._process = None

    def close(self) -> None:
        """
        Make sure that it is gone.
        """
        self.end(signal.SIGKILL)

    def fetch(self, path: str, form: dict[str, str] | None = None, **query: str) -> bytes:
        """
        Ask it for something.

        @param form: what is posted, if anything is.
        """
        data = None if form is None else urlencode(form).encode()
        with urlopen(f"{self.url}{path}?{urlencode(query)}", data, PATIENCE) as answer:
            body: bytes = answer.read()
        return body


class Influxd(Database):
    """
    InfluxDB 1.

    @ivar secure: whether it asks who somebody is.
    @ivar most: how many bytes a request may have.
    """

    program = "influxd"
    package = "influxdb"
    secure = False
    most = 25_000_000

    def command(self) -> list[str]:
        """
        See L{Database.command}.
        """
        secure = str(self.secure).lower()
        text = _INFLUXD.format(folder=self.folder, port=self.port, secure=secure, most=self.most)
        file = self.folder / "influxd.conf"
        file.write_text(text, encoding="utf-8")
        return [self.program, "-config", str(file)]

    def query(self, statement: str, **given: str) -> list[Any]:
        """
        Execute a statement.

        @return: the series that come of it.
        """
        body = self.fetch("/query", {"q": statement}, epoch="u", **given)
        (result,) = json.decode(body)["results"]
        assert "error" not in result, result
        series: list[Any] = result.get("series", [])
        return series

    def points(self, database: str, kind: str = "") -> dict[tuple[str, str, str], dict[int, Any]]:
        """
        All values by their times, by measurement, device and field.

        @param kind: a type; then it is those of fields C{value} that have it.
        """
        found: dict[tuple[str, str, str], dict[int, Any]] = {}
        what = f"value::{kind}" if kind else "*"
        for (name,) in self._values("SHOW MEASUREMENTS", database):
            quoted = name.replace("\\", "\\\\").replace('"', '\\"')
            for one in self.query(f'SELECT {what} FROM "{quoted}" GROUP BY *', db=database):
                tag = one.get("tags", {}).get("device", "")
                for time, *values in one["values"]:
                    for field, value in zip(one["columns"][1:], values, strict=True):
                        if value is not None:
                            found.setdefault((name, tag, field), {})[time] = value
        return found

    def _values(self, statement: str, database: str) -> list[Any]:
        return [row for one in self.query(statement, db=database) for row in one["values"]]


class Victoria(Database):
    """
    VictoriaMetrics.

    @ivar doubled: how many points were found twice the last time.
    """

    doubled = 0
    program = "victoria-metrics"
    package = "victoria-metrics"

    def command(self) -> list[str]:
        """
        See L{Database.command}.
        """
        return [
            self.program,
            f"-httpListenAddr=127.0.0.1:{self.port}",
            f"-storageDataPath={self.folder / 'victoria'}",
            "-retentionPeriod=100y",
            "-dedup.minScrapeInterval=1ms",
        ]

    def points(self) -> dict[tuple[str, str], dict[int, float]]:
        """
        All values by their times in milliseconds, by metric and device.
        """
        self.fetch("/internal/force_flush")
        body = self.fetch(
            "/api/v1/export",
            match='{__name__!=""}',
            reduce_mem_usage="0",
            end="4200000000",  # unless it is told so, it leaves out the last second
        )
        found: dict[tuple[str, str], dict[int, float]] = {}
        self.doubled = 0
        for line in body.splitlines():
            one = json.decode(line)
            key = one["metric"]["__name__"], one["metric"].get("device", "")
            found[key] = dict(zip(one["timestamps"], one["values"], strict=True))
            self.doubled += len(one["timestamps"]) - len(found[key])
        return found
