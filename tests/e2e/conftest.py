"""One cluster and one enforcing webhook for all of these tests; a namespace of its own for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.controlplane.build import Binaries
from tests.controlplane.cluster import ControlPlane
from tests.e2e import by_hand
from tests.e2e.cleaning import empty
from tests.e2e.comparing import assert_book_is_exact
from tests.e2e.denial import assert_denials_tell_room
from tests.e2e.manifests import NODE_MEMORY, NODES
from tests.e2e.webhook import OWN_WEBHOOK, WebhookProcess

PROMISE_SECONDS = 20


@pytest.fixture(scope="package")
def cluster(control_plane_binaries: Binaries) -> Iterator[ControlPlane]:
    """A control plane whose three nodes are nobody else's: these tests fill it to the last byte."""
    with ControlPlane(binaries=control_plane_binaries) as cluster:
        cluster.add_nodes(NODES, memory=NODE_MEMORY)
        yield cluster


@pytest.fixture(scope="package")
def webhook(cluster: ControlPlane) -> Iterator[WebhookProcess]:
    """The webhook with the chart's own policy, over every namespace without one of its own.

    It knows sooner than usual which promises came to nothing: no request here takes so long.
    """
    arguments = [f"--promise-seconds={PROMISE_SECONDS}", "--seat-seconds=10"]
    with WebhookProcess(cluster, arguments=arguments) as webhook:
        yield webhook


@pytest.fixture(scope="package")
def asker(cluster: ControlPlane, webhook: WebhookProcess) -> str:
    """The namespace in which figures are asked for; nothing is ever made in it."""
    return cluster.namespace("asker")


@pytest.fixture
def namespace(cluster: ControlPlane, webhook: WebhookProcess, asker: str) -> Iterator[str]:
    """An empty namespace in an empty cluster; at the end nothing is held for it any more.

    Before that the book must be what the API server lists, to the last sum, and a denial must tell
    the room that there is by definition.
    """
    name = cluster.namespace("e2e")
    try:
        yield name
        webhook.assert_sound()
        assert_book_is_exact(webhook)
        assert_denials_tell_room(cluster, asker)
    finally:
        empty(cluster, name)
        webhook.wait_forgotten()


@pytest.fixture
def own_namespace(cluster: ControlPlane) -> Iterator[str]:
    """A namespace that the shared webhook does not judge."""
    name = cluster.namespace("own", {OWN_WEBHOOK: "yes"})
    yield name
    empty(cluster, name)


@pytest.fixture
def node_by_hand(cluster: ControlPlane, webhook: WebhookProcess) -> Iterator[str]:
    """A fourth node of which nobody plays the kubelet; gone at the end."""
    by_hand.make_node(cluster)
    yield by_hand.NAME
    cluster.kubectl("delete", "node", by_hand.NAME, "--ignore-not-found")
