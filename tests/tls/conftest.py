"""Certificates of our own issuing, and real TLS handshakes without a socket."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from kube_headroom.tls.issue import Issued, issue

Handshake = Callable[..., ssl.SSLObject]


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def issued(now: datetime) -> Issued:
    return issue(["webhook.test.svc", "webhook"], ["127.0.0.1"], ca_days=10, leaf_days=5, now=now)


@pytest.fixture
def handshake() -> Handshake:
    return _handshake


def _handshake(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str = "webhook.test.svc"
) -> ssl.SSLObject:
    """Both ends in this thread, joined by memory; the client's end is returned, or it raises."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_end = server.wrap_bio(to_server, to_client, server_side=True)
    client_end = client.wrap_bio(to_client, to_server, server_hostname=name)
    waiting = [client_end, server_end]
    for _ in range(20):
        for end in list(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)
        if not waiting:
            return client_end
    raise AssertionError("the handshake does not end")
