"""A whole cluster in a network of its own: control plane, a real node, and kwok nodes beside it.

The API server listens where the `kubernetes` Service points, so that pods reach it as they would in
production, and finds the pods behind a webhook's Service by itself: no kube-proxy, no cluster DNS.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.options import Options
from tests.node.network import (
    API_SERVER_ADDRESS,
    SERVICE_ADDRESS,
    SERVICE_RANGE,
    Network,
)
from tests.node.node import RealNode
from tests.node.packages import NODE_PACKAGES, require

KWOK_NODES = 2


@dataclass(frozen=True, slots=True)
class RealCluster:
    """What a test works with; commands reach the cluster, this process itself does not."""

    control_plane: ControlPlane
    node: RealNode
    network: Network


def cluster_options(network: Network) -> Options:
    """Return how a control plane is started inside this network."""
    return Options(
        bind_address="0.0.0.0",
        secure_port=443,
        advertise_address=API_SERVER_ADDRESS,
        service_range=SERVICE_RANGE,
        server_names=(SERVICE_ADDRESS, "kubernetes.default.svc"),
        run_prefix=network.run_prefix,
    )


@contextmanager
def real_cluster(kwok_nodes: int = KWOK_NODES) -> Iterator[RealCluster]:
    """Start all of it, and leave nothing behind.

    Raises NodeMissingError, GoMissingError or BuildError where that cannot be.
    """
    require(NODE_PACKAGES)
    with (
        Network() as network,
        ControlPlane(cluster_options(network)) as control_plane,
        RealNode(control_plane, network) as node,
    ):
        if kwok_nodes:
            control_plane.add_nodes(kwok_nodes)
        yield RealCluster(control_plane, node, network)
