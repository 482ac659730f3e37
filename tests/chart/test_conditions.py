"""The chart's rules against a webhook that is dead, with failurePolicy Fail.

Nothing listens at its address, so what the API server refuses is exactly what it would have asked
about. Read the other way round: this is what goes on in a cluster whose webhook is down.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import trustme

from tests.chart.render import policy_config_map, webhook_configuration
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.programs import free_port
from tests.controlplane.shell import Done
from tests.controlplane.waiting import wait_until

pytestmark = pytest.mark.controlplane

NOT_ASKED = "failed calling webhook"
SIZES = {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "1", "memory": "32Mi"}}
POD_SPEC = {
    "terminationGracePeriodSeconds": 1,
    "containers": [{"name": "web", "image": "example.invalid/web", "resources": SIZES}],
}


@dataclass(frozen=True)
class Guarded:
    """A namespace whose webhook is dead, and another that holds the policy."""

    cluster: ControlPlane
    namespace: str
    own_namespace: str

    def kubectl(self, *arguments: str) -> Done:
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, check=False)

    def apply(self, manifest: dict[str, Any], *arguments: str) -> Done:
        return self.cluster.apply(manifest, *arguments, check=False)

    def patch(self, what: str, patch: dict[str, Any], *arguments: str) -> Done:
        return self.kubectl("patch", what, "--type=merge", "-p", json.dumps(patch), *arguments)

    def running(self) -> list[str]:
        pods = self.cluster.objects("pods", self.namespace, "--selector", "app=web")
        leaving = "deletionTimestamp"
        return [
            pod["metadata"]["name"]
            for pod in pods
            if pod["status"]["phase"] == "Running" and leaving not in pod["metadata"]
        ]


def named(kind: str, name: str, namespace: str, **metadata: Any) -> dict[str, Any]:
    version = {"Deployment": "apps/v1"}.get(kind, "v1")
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, **metadata},
    }


def pod(name: str, namespace: str, spec: dict[str, Any] | None = None, **metadata: Any):
    return {**named("Pod", name, namespace, **metadata), "spec": {**POD_SPEC, **(spec or {})}}


def deployment(name: str, namespace: str, **metadata: Any) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": POD_SPEC}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    return {**named("Deployment", name, namespace, **metadata), "spec": spec}


@pytest.fixture(scope="module")
def guarded(control_plane: ControlPlane) -> Iterator[Guarded]:
    cluster = control_plane
    guarded = Guarded(cluster, cluster.namespace("shop"), cluster.namespace("own"))
    cluster.apply(deployment("web", guarded.namespace))
    cluster.apply(deployment("left", guarded.namespace))
    cluster.apply(pod("alone", guarded.namespace))
    # The API server resizes no running pod on a node that does not report what containers got.
    cluster.apply(pod("waiting", guarded.namespace, {"nodeSelector": {"nowhere": "yes"}}))
    cluster.apply(policy_config_map(namespace=guarded.own_namespace))
    wait_until(lambda: len(guarded.running()) == 2, 60, "two pods of web")
    configuration = webhook_configuration(
        f"https://127.0.0.1:{free_port()}/validate",
        trustme.CA().cert_pem.bytes(),
        namespace=guarded.own_namespace,
        release="dead",
        only_namespaces=[guarded.namespace, guarded.own_namespace, "kube-system"],
    )
    cluster.apply(configuration)
    probe = pod("probe", guarded.namespace)
    wait_until(lambda: asked(guarded.apply(probe, "--dry-run=server")), 30, "the webhook's rules")
    yield guarded
    cluster.kubectl("delete", "validatingwebhookconfiguration", configuration["metadata"]["name"])
    cluster.kubectl("delete", "namespace", guarded.namespace, "--wait=false")
    cluster.kubectl("delete", "namespace", guarded.own_namespace, "--wait=false")


def asked(done: Done) -> bool:
    """Whether the API server would have asked the webhook."""
    return done.returncode != 0 and NOT_ASKED in done.stderr


def went_on(done: Done) -> bool:
    """Whether the request succeeded without the webhook."""
    assert done.returncode == 0, done.stderr
    return True


def test_what_people_create_is_judged(guarded):
    assert asked(guarded.apply(pod("new", guarded.namespace)))
    assert asked(guarded.apply(deployment("new", guarded.namespace)))


@pytest.mark.parametrize("replicas", [0, 1, 3])
def test_scaling_is_judged(guarded, replicas):
    """A Scale has neither template nor labels, and says nothing at all about 0 replicas."""
    assert asked(guarded.kubectl("scale", "deployment/web", f"--replicas={replicas}"))


def test_a_scale_to_the_present_size_is_not_judged(guarded):
    assert went_on(guarded.kubectl("scale", "deployment/web", "--replicas=2"))


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"template": {"spec": {"priorityClassName": "system-cluster-critical"}}}},
        {"metadata": {"labels": {"seen": "yes"}}},
        {
            "metadata": {
                "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "0"}]
            }
        },
    ],
    ids=["spec", "labels", "owners"],
)
def test_a_change_of_spec_labels_or_owners_is_judged(guarded, change):
    assert asked(guarded.patch("deployment/web", change))


@pytest.mark.parametrize("what", ["deployment/web", "pod/alone"])
def test_annotations_and_finalizers_are_not_judged(guarded, what):
    assert went_on(guarded.patch(what, {"metadata": {"annotations": {"seen": "yes"}}}))
    assert went_on(guarded.patch(what, {"metadata": {"finalizers": ["example.invalid/hold"]}}))
    assert went_on(guarded.patch(what, {"metadata": {"finalizers": None}}))


def test_a_resize_is_judged(guarded):
    bigger = {"name": "web", "resources": {"requests": {"cpu": "20m"}}}
    done = guarded.kubectl(
        "patch",
        "pod/waiting",
        "--subresource=resize",
        "-p",
        json.dumps({"spec": {"containers": [bigger]}}),
    )
    assert asked(done)


def test_an_ephemeral_container_is_not_judged(guarded):
    debug = ("debug", "alone", "--image=example.invalid/debug", "--profile=general")
    assert went_on(guarded.kubectl(*debug))


def test_controllers_replace_their_pods(guarded):
    """Deletes and the controllers' creates go on, with a dead webhook and Fail."""
    before = set(guarded.running())
    assert went_on(guarded.kubectl("delete", "pod", "--selector=app=web", "--wait=false"))
    wait_until(
        lambda: len(guarded.running()) == 2 and not before & set(guarded.running()),
        60,
        "two new pods",
    )


def test_a_person_cannot_pass_for_a_controller_by_naming_an_owner(guarded):
    owner = guarded.cluster.objects("replicasets", guarded.namespace)[0]
    reference = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    assert asked(guarded.apply(pod("forged", guarded.namespace, ownerReferences=[reference])))


def test_orphans_are_let_go_of(guarded):
    """Deletion with --cascade=orphan waits until the garbage collector has freed what is left."""
    orphan = ("delete", "deployment", "left", "--cascade=orphan", "--timeout=30s")
    assert went_on(guarded.kubectl(*orphan))
    [left] = guarded.cluster.objects("replicasets", guarded.namespace, "--selector", "app=left")
    assert "ownerReferences" not in left["metadata"]


def test_a_label_that_may_take_a_pod_from_its_controller_is_judged(guarded):
    assert asked(
        guarded.patch(f"pod/{guarded.running()[0]}", {"metadata": {"labels": {"app": "x"}}})
    )


def test_mirror_pods_are_not_judged(guarded):
    mirror = {"kubernetes.io/config.mirror": "x"}
    created = guarded.apply(
        pod("static", guarded.namespace, {"nodeName": "node-0"}, annotations=mirror),
        "--dry-run=server",
    )
    assert went_on(created)


def test_a_workload_is_no_mirror_pod_whatever_its_annotations(guarded):
    mirror = {"kubernetes.io/config.mirror": "x"}
    assert asked(guarded.apply(deployment("sly", guarded.namespace, annotations=mirror)))


def test_critical_pods_are_not_judged(guarded):
    critical = pod("critical", guarded.namespace, {"priorityClassName": "system-node-critical"})
    assert went_on(guarded.apply(critical, "--dry-run=server"))


@pytest.mark.parametrize("where", ["own", "kube-system"])
def test_own_and_system_namespaces_go_on(guarded, where):
    namespace = guarded.own_namespace if where == "own" else where
    assert went_on(guarded.apply(deployment("repair", namespace), "--dry-run=server"))


def test_a_dead_webhook_lets_its_policy_be_repaired(guarded):
    policy = policy_config_map({"mode": "audit"}, namespace=guarded.own_namespace)
    assert went_on(guarded.apply(policy))


def test_deletion_is_never_held_up(guarded):
    """With a finalizer: marked, let go of, and gone, all while nobody answers."""
    hold = {"metadata": {"finalizers": ["example.invalid/hold"]}}
    assert went_on(guarded.patch("pod/alone", hold))
    assert went_on(guarded.kubectl("delete", "pod", "alone", "--wait=false"))
    assert went_on(guarded.patch("pod/alone", {"metadata": {"labels": {"last": "word"}}}))
    assert went_on(guarded.patch("pod/alone", {"metadata": {"finalizers": None}}))
    wait_until(lambda: guarded.kubectl("get", "pod", "alone").returncode != 0, 60, "no pod alone")
