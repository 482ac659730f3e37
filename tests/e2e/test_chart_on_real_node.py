"""The chart as a person installs it: the real image, in a real pod, asked through its Service."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import yaml

from tests.chart.release import RESTRICTED, Release
from tests.chart.render import CHART
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.e2e.manifests import Object, demo_app, deployment
from tests.node.cluster import RealCluster
from tests.node.image import REPOSITORY, TAG

pytestmark = pytest.mark.node

NAME = "guard"
VALUES = (
    *("--set", f"image.repository={REPOSITORY}", "--set", f"image.tag={TAG}"),
    *("--set", "image.pullPolicy=Never", "--set", "nodeSelector.type=real"),
)


@pytest.fixture(scope="module")
def cluster(real_cluster: RealCluster) -> ControlPlane:
    """The control plane beside the real node."""
    return real_cluster.control_plane


@pytest.fixture(scope="module")
def release(cluster: ControlPlane) -> Iterator[Release]:
    """The chart, installed by helm into a namespace that admits restricted pods only."""
    namespace = cluster.namespace(NAME, RESTRICTED)
    started = time.monotonic()
    done = cluster.helm("install", NAME, CHART, "--namespace", namespace, *VALUES)
    release = Release(cluster, NAME, namespace, done.stdout + done.stderr)
    try:
        status = ("rollout", "status", f"deployment/{release.fullname}", "--timeout=90s")
        cluster.kubectl(*status, "-n", namespace, timeout=100)
        print(f"the chart was available {time.monotonic() - started:.1f} s after helm install")
        yield release
    finally:
        if remains(release):
            release.helm("uninstall")
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture
def namespace(cluster: ControlPlane) -> Iterator[str]:
    """A namespace to work in; Deployments in it stay on the simulated nodes."""
    name = cluster.namespace("shop")
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def remains(release: Release) -> list[str]:
    """Return what is labelled as the release's, all over the cluster."""
    kinds = (
        "deployments,replicasets,pods,services,configmaps,serviceaccounts,roles,rolebindings,"
        "clusterroles,clusterrolebindings,validatingwebhookconfigurations,resourcequotas"
    )
    label = f"app.kubernetes.io/instance={release.name}"
    found = release.cluster.kubectl("get", kinds, "-A", "-l", label, "-o", "name").stdout
    return found.split()


def on_simulated_nodes(manifest: Object) -> Object:
    manifest["spec"]["template"]["spec"]["nodeSelector"] = {"type": "kwok"}
    return manifest


def test_the_pod_is_available_and_publishes_its_authority(release: Release) -> None:
    [pod] = release.pods()
    assert pod["spec"]["nodeName"].startswith("real")
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    assert all(webhook["clientConfig"]["caBundle"] for webhook in release.webhooks())


def test_it_allows_and_refuses_through_its_service(
    cluster: ControlPlane, release: Release, namespace: str
) -> None:
    """What kubectl prints for the demo app, for one without limits, and for one too many."""
    assert cluster.apply(on_simulated_nodes(demo_app(namespace))).stderr == ""
    missing = cluster.apply(demo_app(namespace, limits=False), check=False)
    assert '[HR104] container "web": memory limit is missing' in missing.stderr
    huge = on_simulated_nodes(deployment(namespace, 20, "1Gi", name="huge"))
    refused = cluster.apply(huge, check=False)
    assert "Error from server (Forbidden)" in refused.stderr
    assert "[HR201] memory requests: 20 pods" in refused.stderr
    assert "on 2 eligible nodes" in refused.stderr


def test_a_policy_edit_works(cluster: ControlPlane, release: Release, namespace: str) -> None:
    """A good one within 5 s, without a restart; a broken one is refused by the pod."""
    name = f"{release.fullname}-policy"
    stored = cluster.get("configmap", name, release.namespace)
    policy = yaml.safe_load(stored["data"]["policy.yaml"])
    metadata = {"name": name, "namespace": release.namespace}

    def config_map(text: str) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {"policy.yaml": text},
        }

    broken = cluster.apply(config_map("mode: strict\n"), check=False)
    assert "[HR302]" in broken.stderr
    cluster.apply(config_map(yaml.safe_dump({**policy, "mode": "warn"})))
    app = demo_app(namespace, limits=False)
    wait_until(
        lambda: cluster.apply(app, "--dry-run=server", check=False).returncode == 0,
        5,
        "the edit to be in force",
    )
    cluster.apply(config_map(stored["data"]["policy.yaml"]))
    assert release.pods()[0]["status"]["containerStatuses"][0]["restartCount"] == 0


def test_uninstalling_leaves_nothing_and_opens_the_cluster(
    cluster: ControlPlane, release: Release, namespace: str
) -> None:
    assert len(remains(release)) > 10
    release.helm("uninstall")
    wait_until(lambda: not remains(release), 90, "everything of the release to be gone")
    wait_until(
        lambda: cluster.apply(demo_app(namespace, limits=False), check=False).returncode == 0,
        10,
        "nobody to be asked any more",
    )
