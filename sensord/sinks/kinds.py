"""
What makes each kind of sink.
"""

from collections.abc import Callable
from typing import Any

from sensord.sinks import Sink
from sensord.store.service import Run

Interval = Callable[[str], float]

Now = Callable[[], float]


def _influxdb(reactor: Any, settings: Any, run: Run, interval: Interval, now: Now) -> Sink:
    from sensord.sinks.influxdb import InfluxSink

    return InfluxSink(reactor, settings, run, now=now)


def _emoncms(reactor: Any, settings: Any, run: Run, interval: Interval, now: Now) -> Sink:
    from sensord.sinks.emoncms import EmoncmsSink

    return EmoncmsSink(reactor, settings, run, now=now)


def _csv(reactor: Any, settings: Any, run: Run, interval: Interval, now: Now) -> Sink:
    from sensord.sinks.csvfile import CsvSink

    return CsvSink(reactor, settings, run)


def _mqtt(reactor: Any, settings: Any, run: Run, interval: Interval, now: Now) -> Sink:
    from sensord.sinks.mqtt import MqttSink

    return MqttSink(reactor, settings, interval=interval)


#: By what the configuration calls it. Each is given the reactor, its settings, what runs blocking
#: calls, what tells how many seconds lie between what the device with an address sends, and the
#: time of day. They are imported when they are wanted, since what they need takes long to load.
SINKS: dict[str, Callable[[Any, Any, Run, Interval, Now], Sink]] = {
    "influxdb": _influxdb,
    "emoncms": _emoncms,
    "csv": _csv,
    "mqtt": _mqtt,
}
