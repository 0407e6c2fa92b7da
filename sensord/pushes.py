"""
What can be configured of the HTTP to which devices push.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated

from msgspec import Meta

from sensord.listeners import DoorSettings, ListenerSettings
from sensord.settings import DeviceSettings, Secret, twice
from sensord.web.settings import WebSettings, exposed
from sensord.wire.points import DEVICE_TAGS
from sensord.wire.push import nameless

#: Why nobody is let in.
EXPOSED = "reached from other machines, which needs a token"


class PushSettings(DoorSettings, frozen=True):
    """
    C{wire = "http"}: devices, and programs such as Telegraf, that push readings. Each request is
    answered when they are stored.

    On the page's port, connections are limited by what C{[web]} says of them.

    @ivar listen: a Twisted endpoint string, or empty for the port of the page.
    @ivar idle_timeout: seconds without a request after which a connection is closed; 0 is never.
    @ivar token: what each request must show: as C{Authorization: Bearer} or C{Token}, as the
        password of a user, or by the parameter C{apikey}, C{token} or C{p}. Empty is nothing, for
        this machine only.
    @ivar max_body: the most bytes of a request, also when they are unpacked.
    @ivar max_devices: how many may be heard that are not described.
    @ivar device_tags: the tags of InfluxDB's lines that tell whose a point is: the first one that
        is there, or else it is the measurement.
    @ivar ignore_tags: tags that tell nothing apart, with C{*} and C{?} as wildcards.
    """

    token: Secret = Secret()
    max_body: Annotated[int, Meta(ge=1024, le=67_108_864)] = 1_048_576
    max_devices: Annotated[int, Meta(ge=1, le=1_000_000)] = 5000
    device_tags: tuple[str, ...] = DEVICE_TAGS
    ignore_tags: tuple[str, ...] = ()

    @property
    def mounted(self) -> bool:
        """
        Whether it is on the port of the page.
        """
        return not self.listen

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        yield from super().faults()
        if not (self.token or self.mounted) and exposed(self.listen):
            yield f'listen: "{self.listen}" is {EXPOSED}'
        if not self.token.text.isprintable() or self.token.text != self.token.text.strip():
            yield "token: has spaces around it, or something invisible in it"
        for key, tags in (("device_tags", self.device_tags), ("ignore_tags", self.ignore_tags)):
            if "" in tags:
                yield f"{key}: one of them has no name"
            yield from (f'{key}: "{tag}" is named twice' for tag in twice(tags))

    def clashes(self, id: str, device: DeviceSettings) -> Iterable[str]:
        """
        See L{ListenerSettings.clashes}.
        """
        yield from super().clashes(id, device)
        if why := nameless(id):
            yield f"address: {why}"


def mountFaults(listeners: Sequence[ListenerSettings], web: WebSettings | None) -> Iterable[str]:
    """
    What is wrong with listeners on the port of the page.

    @param web: the page; L{None} if there is none.
    """
    mounted = [one for one in listeners if isinstance(one, PushSettings) and one.mounted]
    for one in mounted:
        where = f'[[listeners]] "{one.name}" listen:'
        if web is None:
            yield f"{where} is empty, which is the port of the page, and there is no [web]"
        elif not one.token and exposed(web.listen):
            yield f'{where} the port of the page, "{web.listen}", is {EXPOSED}'
        if one is not mounted[0]:
            yield f'{where} "{mounted[0].name}" is on the port of the page already'
