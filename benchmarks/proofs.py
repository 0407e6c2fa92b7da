"""
Proofs that what was measured is what was to be done.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from benchmarks import sinks
from benchmarks.children import BenchmarkError
from tests.integration.databases import Influxd


def database(path: Path, readings: int) -> None:
    """
    Make sure that what was measured is what was to be done.

    @raise BenchmarkError: if the database has not as many readings as were sent.
    """
    if not path.exists():
        return
    with closing(sqlite3.connect(path)) as connection:
        stored = connection.execute("SELECT count(*) FROM readings").fetchone()[0]
    if stored != readings:
        raise BenchmarkError(f"of {readings} readings {stored} are in the database")


def influx(server: Influxd, readings: int) -> None:
    """
    The same for InfluxDB.
    """
    question = "SELECT count(value) FROM /.*/"
    stored = sinks.count(server.fetch("/query", db=sinks.NAME, q=question))
    if stored != readings:
        raise BenchmarkError(f"of {readings} readings {stored} are in InfluxDB")
