"""
What keeps from klein what klein cannot take.
"""

from typing import Any

from twisted.web.resource import IResource, Resource

from sensord.control.query import Trouble, reply


class Door(Resource):
    """
    Hands over to klein what klein can take: it would log a traceback for the rest.
    """

    isLeaf = True

    def __init__(self, inner: IResource) -> None:
        super().__init__()
        self._inner = inner

    def render(self, request: Any) -> Any:
        """
        See L{IResource.render}.
        """
        request.postpath, request.prepath = [*request.prepath, *request.postpath], []
        try:
            b"/".join(request.postpath).decode()
        except UnicodeDecodeError:
            return reply(request, Trouble("the path is no UTF-8"), 400)
        # Routes do not depend on it, and it may be anything.
        request.requestHeaders.setRawHeaders(b"host", [b"localhost"])
        return self._inner.render(request)
