"""What can go wrong between this process and the API server, in this product's own words.

Every error of the client and of the network below it is wrapped into one of these where it
happens, so that nobody above has to know whose library it was.
"""

import msgspec

from kube_headroom.cluster.decoding import ErrorStatus
from kube_headroom.errors import ClusterUnavailable


class ServerUnreachable(ClusterUnavailable):
    """No connection came about: nothing was sent, so nothing can have happened."""


class WatchSilent(ClusterUnavailable):
    """A watch on which nothing came for longer than bookmarks are apart."""


class Expired(ClusterUnavailable):
    """The version we stand at is no longer known: only a new list helps."""


class ApiError(ClusterUnavailable):
    """The API server answered, but not with success."""

    def __init__(
        self, attempted: str, status: int, body: bytes, *, retry_after_seconds: float = 0.0
    ) -> None:
        answer = _status_in(body)
        self.status = status
        self.reason = answer.reason or ""
        self.message = answer.message or _first_line(body)
        self.body = body
        self.retry_after_seconds = retry_after_seconds
        words = " ".join(part for part in (str(status), self.reason) if part)
        super().__init__(f"{attempted}: {words}: {self.message}".rstrip(": "))


def _status_in(body: bytes) -> ErrorStatus:
    try:
        return msgspec.json.decode(body, type=ErrorStatus)
    except msgspec.DecodeError:
        return ErrorStatus()  # a proxy's page, or a panic's text


def _first_line(body: bytes) -> str:
    lines = body[:1000].decode("utf-8", "replace").strip().splitlines()
    return lines[0][:200] if lines else ""
