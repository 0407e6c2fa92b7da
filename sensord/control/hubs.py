"""
What the control API does with hubs::

    GET  /api/v1/hubs                     the hubs, and how each is
    POST /api/v1/hubs/<hub>/start         {"group": ...}: start one; the group has to be named the
                                          first time
    POST /api/v1/hubs/<hub>/stop          stop one; it is answered when it has stopped
    POST /api/v1/hubs/<hub>/restart       the one and the other
    POST /api/v1/hubs/<hub>/forget        leave out one that is stopped; its files stay

The answer to what is done is how the hub is, a list of one; or of none, if it is forgotten.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct
from twisted.internet.defer import Deferred

from sensord.control.asked import Nothing
from sensord.control.asking import shielded
from sensord.control.query import Fault, document, guard, parameters, who
from sensord.hubs.refusals import Refusal, Stranger


class Hubs(Protocol):
    """
    The hubs, as L{Manager<sensord.hubs.manager.Manager>} has them.
    """

    def list(self) -> Sequence[Any]:
        """
        How all are.
        """

    async def do(self, action: str, name: str, group: str, who: str) -> Any:
        """
        Do something with one.
        """


class Group(Struct):
    """
    Whose a hub is; it has to be said the first time.
    """

    group: str = ""


def listed(request: Any, hubs: Hubs | None) -> Sequence[Any]:
    """
    How all hubs are.

    @raise Fault: if there is no manager.
    """
    parameters(request, Nothing)
    return _there(hubs).list()


async def switch(request: Any, hubs: Hubs | None, name: str, action: str) -> Sequence[Any]:
    """
    Do what a request asks for.

    @raise Fault: if it is not possible.
    """
    parameters(request, Nothing)
    guard(request)
    there = _there(hubs)
    empty = not request.content.read(1)
    request.content.seek(0)
    group = "" if empty else document(request, Group).group
    try:
        doing = Deferred.fromCoroutine(there.do(action, name, group, who(request)))
        done = await shielded(doing)
    except Stranger as error:
        raise Fault(404, str(error)) from error
    except Refusal as error:
        raise Fault(409, str(error)) from error
    return [] if done is None else [done]


def _there(hubs: Hubs | None) -> Hubs:
    if hubs is None:
        raise Fault(404, "there are no hubs: the configuration has no table [hubs]")
    return hubs
