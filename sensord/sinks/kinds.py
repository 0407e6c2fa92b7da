"""
What makes each kind of sink.
"""

from collections.abc import Callable
from typing import Any

from sensord.sinks import Sink
from sensord.store.service import Run

#: By what the configuration calls it. Each is given the reactor, its settings, and what runs
#: blocking calls.
SINKS: dict[str, Callable[[Any, Any, Run], Sink]] = {}
