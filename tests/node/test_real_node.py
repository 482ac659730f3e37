"""Pods on the real node are real: confined, probed, heard, and able to reach the API server."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.node.cluster import RealCluster
from tests.node.cluster import real_cluster as start_real_cluster
from tests.node.config import PAUSE_IMAGE
from tests.node.image import ROOT
from tests.node.machine import CGROUPS
from tests.node.network import SERVICE_ADDRESS

pytestmark = pytest.mark.node

HERE = Path(__file__).parent
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


def strict_pod(namespace: str) -> dict[str, Any]:
    pod: dict[str, Any] = yaml.safe_load((HERE / "pod.yaml").read_text())
    pod["metadata"]["namespace"] = namespace
    pod["spec"]["containers"][0]["command"] = ["python3", "-c", (HERE / "in_pod.py").read_text()]
    return pod


def is_ready(control_plane: ControlPlane, name: str, namespace: str) -> bool:
    pod = control_plane.get("pod", name, namespace)
    conditions = pod["status"].get("conditions", [])
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    assert ready, pod["status"]
    return True


@pytest.fixture(scope="module")
def namespace(real_cluster: RealCluster) -> Iterator[str]:
    """A namespace that admits restricted pods only, with the strict pod Ready in it."""
    control_plane = real_cluster.control_plane
    name = control_plane.namespace("node", RESTRICTED)
    control_plane.apply(strict_pod(name))
    wait_until(lambda: is_ready(control_plane, "strict", name), 90, "the strict pod to be Ready")
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def told(real_cluster: RealCluster, namespace: str) -> dict[str, Any]:
    """What the strict pod said of itself, read as a person would."""
    said: dict[str, Any] = json.loads(
        real_cluster.control_plane.kubectl("logs", "-n", namespace, "strict").stdout
    )
    return said


def test_the_security_context_holds(told: dict[str, Any]) -> None:
    """A foreign user id, a read-only root, no capabilities, and system calls filtered."""
    assert told["uid"] == 4242
    assert told["write_error"] == "EROFS"
    assert int(told["capabilities"], 16) == 0
    assert told["seccomp"] == "2"


def test_a_pod_reaches_the_api_server_as_its_service_account(
    told: dict[str, Any], namespace: str
) -> None:
    """At the address of the `kubernetes` Service, by its projected token and CA."""
    assert told["api"]["address"] == SERVICE_ADDRESS
    assert told["api"]["status"] == 201
    user = told["api"]["review"]["status"]["userInfo"]["username"]
    assert user == f"system:serviceaccount:{namespace}:default"


def test_the_api_server_reaches_a_pod(real_cluster: RealCluster, namespace: str) -> None:
    """By the pod's own address: so it will reach a webhook."""
    path = f"/api/v1/namespaces/{namespace}/pods/strict:8080/proxy/"
    assert real_cluster.control_plane.kubectl("get", "--raw", path).stdout == "here"


def test_the_program_runs_in_a_strict_pod(real_cluster: RealCluster, namespace: str) -> None:
    """By its name, as a user the image has never heard of, and without a shell."""
    words = ("exec", "-n", namespace, "strict", "--", "kube-headroom", "version")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert real_cluster.control_plane.kubectl(*words).stdout == f"kube-headroom {version}\n"


def test_kwok_leaves_the_real_node_alone(real_cluster: RealCluster) -> None:
    """Both kinds are Ready in one cluster; only the real one has a runtime."""
    nodes = real_cluster.control_plane.objects("nodes")
    runtimes = sorted(one["status"]["nodeInfo"]["containerRuntimeVersion"] for one in nodes)
    assert runtimes == ["containerd://2.4.2", "kwok-0.8.0", "kwok-0.8.0"]


def test_the_cluster_leaves_nothing_behind(node_programs: Path) -> None:
    """With a pod still running: no process, network, cgroup, or file of it is left."""
    with start_real_cluster(kwok_nodes=0) as cluster:
        namespace = cluster.control_plane.namespace("leftovers")
        cluster.control_plane.apply(pause_pod(namespace))
        wait_until(
            lambda: is_ready(cluster.control_plane, "pause", namespace), 60, "a pod to be Ready"
        )
        network_id = cluster.network.path.stat().st_ino
        cgroup = cluster.node.cgroup
        assert len(cluster.node.containers()) == 2
        assert len(processes(network_id, cgroup)) > 5
        assert cgroup_folders(cgroup)
    assert processes(network_id, cgroup) == []
    assert not cgroup_folders(cgroup)
    assert not cluster.network.path.exists()
    assert not cluster.node.folder.exists()
    assert str(cluster.node.folder) not in Path("/proc/mounts").read_text()


def pause_pod(namespace: str) -> dict[str, Any]:
    container = {"name": "pause", "image": PAUSE_IMAGE, "imagePullPolicy": "Never"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pause", "namespace": namespace},
        "spec": {"containers": [container]},
    }


def cgroup_folders(name: str) -> list[Path]:
    return [top / name for top in (CGROUPS, *CGROUPS.iterdir()) if (top / name).exists()]


def processes(network_id: int, cgroup: str) -> list[str]:
    """Return every process of this machine that is in the network or the cgroup."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                inside = (folder / "ns/net").stat().st_ino == network_id
                if inside or cgroup in (folder / "cgroup").read_text():
                    found.append((folder / "cmdline").read_text())
            except OSError:  # it has just ended, or is a zombie without namespaces
                continue
    return found
