"""One cluster and one enforcing webhook for all of these tests; a namespace of its own for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.controlplane.build import Binaries
from tests.controlplane.cluster import ControlPlane
from tests.e2e.cleaning import empty
from tests.e2e.manifests import NODE_MEMORY, NODES
from tests.e2e.webhook import OWN_WEBHOOK, WebhookProcess


@pytest.fixture(scope="package")
def cluster(control_plane_binaries: Binaries) -> Iterator[ControlPlane]:
    """A control plane whose three nodes are nobody else's: these tests fill it to the last byte."""
    with ControlPlane(binaries=control_plane_binaries) as cluster:
        cluster.add_nodes(NODES, memory=NODE_MEMORY)
        yield cluster


@pytest.fixture(scope="package")
def webhook(cluster: ControlPlane) -> Iterator[WebhookProcess]:
    """The webhook with the chart's own policy, over every namespace without one of its own."""
    with WebhookProcess(cluster, arguments=["--seat-seconds=10"]) as webhook:
        yield webhook


@pytest.fixture
def namespace(cluster: ControlPlane, webhook: WebhookProcess) -> Iterator[str]:
    """An empty namespace in an empty cluster; at the end nothing is held for it any more."""
    name = cluster.namespace("e2e")
    yield name
    webhook.assert_sound()
    empty(cluster, name)
    webhook.wait_forgotten()


@pytest.fixture
def own_namespace(cluster: ControlPlane) -> Iterator[str]:
    """A namespace that the shared webhook does not judge."""
    name = cluster.namespace("own", {OWN_WEBHOOK: "yes"})
    yield name
    empty(cluster, name)
