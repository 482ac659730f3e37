"""What a real API server reads, defaults and stores is what resources/ says it is.

The pods are created as dry-runs: decoded, defaulted, admitted and validated, but never kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import httpx2
import msgspec
import pytest

from kube_headroom.resources.defaults import LimitRangeDefaults, limit_range_defaults
from kube_headroom.resources.objects import KubeObject, PodSpec
from kube_headroom.resources.pod import effective_pod
from kube_headroom.resources.quantity import (
    NANO_PER_MILLI,
    QuantityError,
    QuantityOutOfRange,
    away_from_zero,
    nano,
)
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.differential.generate import PLAIN, quantity_text

pytestmark = pytest.mark.controlplane

ODD = (
    "+",
    ".",
    "m",
    "Ki",
    "Pi",
    " 1Gi ",
    "1 Gi",
    "\t1",
    "1\u2003",
    "K",
    "1_000",
    "1E",
    "1e",
    "9Ei",
)
CPU = ("0", "50m", "100m", "0.5", "1", "2")
MEMORY = ("0", "64Mi", "128Mi", "0.1Gi", "1G", "1Gi", "3Gi")
RUNTIME_CLASS = "kube-headroom-test-overhead"
OVERHEAD = {"cpu": "10m", "memory": "20Mi"}
LIMIT_RANGE = {
    "apiVersion": "v1",
    "kind": "LimitRange",
    "metadata": {"name": "team"},
    "spec": {
        "limits": [
            {
                "type": "Container",
                "default": {"memory": "2Gi"},
                "defaultRequest": {"cpu": "20m", "memory": "64Mi"},
                "max": {"cpu": "2", "ephemeral-storage": "9Gi"},
            }
        ]
    },
}


@pytest.fixture(scope="module")
def api(control_plane: ControlPlane) -> Iterator[httpx2.Client]:
    with control_plane.client() as client:
        yield client


def test_quantities_are_read_as_the_api_server_reads_them(
    control_plane: ControlPlane, api: httpx2.Client
) -> None:
    namespace = control_plane.namespace("quantities")
    random = Random(5)
    texts = [*PLAIN, *ODD, *(quantity_text(random) for _ in range(400))]
    seen = Counter(_compare(text, _create(api, namespace, _asking(text))) for text in texts)
    assert min(seen["equal"], seen["malformed"], seen["negative"]) > 30, seen


def _compare(text: str, response: httpx2.Response) -> str:
    # 400: it cannot be decoded; 422: it was understood and is not allowed.
    understood = response.status_code != httpx2.codes.BAD_REQUEST
    try:
        ours = nano(text)
    except QuantityOutOfRange:
        assert understood, (text, response.text)
        return "out of range"
    except QuantityError:
        assert not understood, (text, response.text)
        return "malformed"
    assert understood, (text, response.text)
    if ours < 0:
        assert response.status_code == httpx2.codes.UNPROCESSABLE_CONTENT, (text, response.text)
        return "negative"
    assert response.status_code == httpx2.codes.CREATED, (text, response.text)
    stored = response.json()["spec"]["containers"][0]["resources"]["requests"]["memory"]
    # The API server keeps thousandths.
    assert nano(stored) == away_from_zero(ours, NANO_PER_MILLI) * NANO_PER_MILLI, (text, stored)
    return "equal"


@pytest.mark.parametrize("with_limit_range", [False, True], ids=["plain", "LimitRange"])
def test_templates_are_completed_as_the_api_server_completes_pods(
    control_plane: ControlPlane, api: httpx2.Client, with_limit_range: bool
) -> None:
    """Requests from limits, pod-level requests, LimitRange, RuntimeClass overhead, QoS class."""
    namespace = control_plane.namespace("defaults")
    control_plane.apply(_runtime_class())
    ranges = _with_limit_range(control_plane, api, namespace) if with_limit_range else []
    random = Random(6)
    accepted = 0
    for _ in range(400):
        spec = _template(random)
        response = _create(api, namespace, spec)
        if response.status_code != httpx2.codes.CREATED:
            continue  # a request above its limit and the like: no such pod, nothing to compare
        accepted += 1
        overhead = OVERHEAD if "runtimeClassName" in spec else None
        ours = effective_pod(msgspec.convert(spec, PodSpec), limit_ranges=ranges, overhead=overhead)
        stored = msgspec.json.decode(response.content, type=KubeObject)
        assert stored.spec is not None
        theirs = effective_pod(stored.spec, status=stored.status)
        for name in ("requests", "limits", "limited", "pod_requests", "qos_class"):
            assert getattr(ours, name) == getattr(theirs, name), (name, spec, response.text)
        for one, other in zip(ours.containers, theirs.containers, strict=True):
            assert (one.requests, one.limits) == (other.requests, other.limits), spec
    assert accepted > 150


def _create(api: httpx2.Client, namespace: str, spec: dict[str, Any]) -> httpx2.Response:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "asked"}, "spec": spec}
    return api.post(f"/api/v1/namespaces/{namespace}/pods?dryRun=All", json=pod)


def _asking(memory: str) -> dict[str, Any]:
    resources = {"requests": {"memory": memory}}
    return {"containers": [{"name": "c", "image": "example.invalid/c", "resources": resources}]}


def _runtime_class() -> dict[str, Any]:
    return {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": RUNTIME_CLASS},
        "handler": "runc",
        "overhead": {"podFixed": OVERHEAD},
    }


def _with_limit_range(
    control_plane: ControlPlane, api: httpx2.Client, namespace: str
) -> list[LimitRangeDefaults]:
    control_plane.apply({**LIMIT_RANGE, "metadata": {"name": "team", "namespace": namespace}})

    def is_seen() -> bool:
        spec = _create(api, namespace, _asking("1Gi")).json()["spec"]
        return "limits" in spec["containers"][0]["resources"]

    wait_until(is_seen, 30, "the LimitRange to be seen by admission")
    defaults = limit_range_defaults(msgspec.convert(LIMIT_RANGE, KubeObject))
    assert defaults is not None
    return [defaults]


def _template(random: Random) -> dict[str, Any]:
    """Return a pod spec as a template has it; most of them are valid."""
    spec: dict[str, Any] = {
        "containers": [_container(random, f"c{n}") for n in range(random.randint(1, 3))],
        "initContainers": [_container(random, f"i{n}") for n in range(random.choice((0, 0, 1, 2)))],
    }
    for container in spec["initContainers"]:
        if random.random() < 0.5:
            container["restartPolicy"] = "Always"
    if random.random() < 0.3:
        names = random.choice((("cpu",), ("memory",), ("cpu", "memory")))
        limits = {name: {"cpu": "20", "memory": "40Gi"}[name] for name in names}
        spec["resources"] = {"limits": limits}
    if random.random() < 0.3:
        spec["runtimeClassName"] = RUNTIME_CLASS
    return spec


def _container(random: Random, name: str) -> dict[str, Any]:
    requests, limits = {}, {}
    for resource, texts in (("cpu", CPU), ("memory", MEMORY), ("ephemeral-storage", MEMORY)):
        low, high = sorted(random.choices(range(len(texts)), k=2))
        if random.random() < 0.5:
            requests[resource] = texts[low]
        if random.random() < 0.5:
            limits[resource] = texts[high]
    resources = {"requests": requests, "limits": limits}
    return {"name": name, "image": "example.invalid/c", "resources": resources}
