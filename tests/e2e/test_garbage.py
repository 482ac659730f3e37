"""Garbage on the port, while people go on working through the API server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.e2e.manifests import pod
from tests.e2e.reviews import review, send
from tests.e2e.webhook import WebhookProcess

pytestmark = pytest.mark.controlplane

LARGE = 100 * 1024 * 1024
DEEP = 200_000


class People:
    """Somebody who creates pods without a pause, until told to stop; counts what fails."""

    def __init__(self, cluster: ControlPlane, namespace: str) -> None:
        self.done, self.failed = 0, list[str]()
        self._stop = threading.Event()
        self._work = threading.Thread(target=self._create, args=(cluster, namespace))

    def __enter__(self) -> People:
        self._work.start()
        wait_until(lambda: self.done, 20, "somebody to be at work")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._work.join()

    def _create(self, cluster: ControlPlane, namespace: str) -> None:
        path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All"
        with cluster.client() as client:
            while not self._stop.is_set():
                answer = client.post(path, json=pod(namespace))
                self.done += 1
                if answer.status_code != 201:
                    self.failed.append(answer.text)


@pytest.fixture
def people(cluster: ControlPlane, namespace: str) -> Iterator[People]:
    """Their reviews go on, and all of them succeed."""
    with People(cluster, namespace) as people:
        yield people
    assert people.failed == []


def without(*path: str) -> dict[str, object]:
    """Return a review that lacks one thing."""
    made = review(pod("any"))
    *parents, last = path
    inside = made
    for parent in parents:
        inside = inside[parent]
    del inside[last]
    return made


def bodies() -> Iterator[tuple[str, bytes, int]]:
    good = json.dumps(review(pod("any")))
    yield "nothing", b"", 400
    yield "no JSON", b"GET / HTTP/1.1", 400
    yield "deep", b"[" * DEEP + b"]" * DEEP, 400
    yield "wrong kind", good.replace("AdmissionReview", "Status").encode(), 400
    yield "NaN", good.replace('"any"', "NaN", 1).encode(), 400
    yield "no UTF-8", good.replace("alice", "\xff").encode("latin-1"), 400
    yield "no uid", json.dumps(without("request", "uid")).encode(), 400
    yield "no request", json.dumps(without("request")).encode(), 400
    yield "no object", json.dumps(without("request", "object")).encode(), 400
    yield "a list", b"[]", 400
    yield "a number", b"1" * 1000, 400


CASES = {name: (body, status) for name, body, status in bodies()}


@pytest.mark.parametrize("name", CASES)
def test_garbage_is_400(webhook: WebhookProcess, people: People, name: str) -> None:
    body, status = CASES[name]
    answer = send(webhook, body)
    assert answer.status == status, answer.body
    assert answer.body.decode().count("\n") == 1, "one plain line"


def test_100_mebibytes_are_cut(webhook: WebhookProcess, people: People) -> None:
    """413, or the connection ends while the sender is still sending."""
    with suppress(BrokenPipeError, ConnectionResetError):
        assert send(webhook, b"[" + b" " * LARGE + b"]").status == 413
    refused = webhook.metrics().total("kube_headroom_http_rejections_total", reason="too_large")
    assert refused >= 1


def test_a_slow_sender_is_cut(webhook: WebhookProcess, people: People) -> None:
    """After 10 seconds, though it never stops sending a byte now and then."""
    connection = webhook.https(timeout=2)
    connection.putrequest("POST", "/validate")
    connection.putheader("Content-Length", "1000")
    connection.endheaders()
    cut = False
    for _ in range(20):
        try:
            connection.sock.sendall(b" ")
            said = connection.sock.recv(1000)
        except TimeoutError:  # 2 s of silence: it waits for more
            continue
        except OSError:
            said = b""
        cut = said == b"" or said.startswith(b"HTTP/1.1 408")
        break
    connection.close()
    assert cut
    slow = webhook.metrics().total("kube_headroom_http_rejections_total", reason="slow_sender")
    assert slow >= 1
