"""Pods ask for what Kubernetes will count, and every doubtful quantity is named."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube_headroom.resources.amounts import MAX_INT64, Amounts
from kube_headroom.resources.declared import declared, plus, pod_amounts
from kube_headroom.resources.defaults import limit_range_defaults
from kube_headroom.resources.objects import KubeObject, PodSpec
from kube_headroom.resources.pod import EffectivePod, effective_pod, scheduler_amounts
from kube_headroom.resources.quantity import milli, whole
from tests.resources.cases_of import cases_of
from tests.resources.properties import patient

TEXTS = st.one_of(
    st.sampled_from(
        ["1", "250m", "1Gi", "0.1Gi", "512m", "10E", "8Ei", "-1", "1e99", "x", "9" * 99]
    ),
    st.text(st.sampled_from("0123456789.+-eEimkGKx"), max_size=70),
    st.integers(-(2**65), 2**65),
    st.floats(),
)
LISTS = st.dictionaries(st.sampled_from(["cpu", "memory", "ephemeral-storage"]), TEXTS)


@pytest.mark.parametrize("case", cases_of("pods"))
def test_a_pod_asks_for(case: dict[str, Any]) -> None:
    pod = _effective(case)
    for basis, amounts in (("requests", pod.requests), ("limits", pod.limits)):
        if basis in case:
            assert amounts == _amounts(case[basis])
    if "qos" in case:
        assert pod.qos_class == case["qos"]
    if "limited" in case:
        assert list(pod.limited) == case["limited"]
    if "unlimited" in case:
        assert pod.unlimited_containers == case["unlimited"]
    if "podRequests" in case:
        assert pod.pod_requests == case["podRequests"]
    if "sources" in case:
        assert _sources(pod) == case["sources"]


@pytest.mark.parametrize("case", cases_of("pods"))
def test_the_scheduler_counts_the_same(case: dict[str, Any]) -> None:
    """For a pod whose defaults are filled in, as the API server's always are."""
    pod = _pod(case)
    assert pod.spec is not None
    effective = effective_pod(pod.spec, status=pod.status)
    _fill_in(pod.spec)
    assert scheduler_amounts(pod) == (effective.requests, effective.limits)


def test_each_container_is_shown_with_its_place_and_part() -> None:
    """What messages name: the field, the image of an exemption, whether it starts or stays."""
    spec = {
        "containers": [{"name": "web", "image": "example.com/web"}, {"name": "bare"}],
        "initContainers": [{"name": "wait"}, {"name": "proxy", "restartPolicy": "Always"}],
    }
    shown = [
        (each.name, each.field, each.image, each.init, each.sidecar)
        for each in effective_pod(msgspec.convert(spec, PodSpec)).containers
    ]
    assert shown == [
        ("web", "containers[0]", "example.com/web", False, False),
        ("bare", "containers[1]", "", False, False),
        ("wait", "initContainers[0]", "", True, False),
        ("proxy", "initContainers[1]", "", True, True),
    ]


@pytest.mark.parametrize("case", cases_of("faults"))
def test_a_doubtful_quantity_is_named(case: dict[str, Any]) -> None:
    quantities = {case["resource"]: case["text"]}
    for basis, faults in (
        ("requests", declared(quantities, None).faults),
        ("limits", declared(None, quantities).faults),
    ):
        assert [fault.kind for fault in faults] == [each for each in (case["kind"],) if each]
        for fault in faults:
            assert (fault.basis, fault.resource) == (basis, case["resource"])
            assert fault.text == str(case["text"])
            for words in case.get("says", ()):
                assert words in fault.message


@patient
@given(requests=LISTS, limits=LISTS)
def test_whatever_is_declared_has_a_value_in_range(requests: Any, limits: Any) -> None:
    """Nothing raises, nothing is negative, nothing passes int64; what is given is there."""
    read = declared(requests, limits)
    assert read.limits.keys() == limits.keys()
    assert read.requests.keys() == requests.keys() | limits.keys()
    assert all(
        0 <= value <= MAX_INT64 for value in (*read.requests.values(), *read.limits.values())
    )
    for exact in (read.exact_requests, read.exact_limits):
        amounts = pod_amounts(plus(exact, exact))
        assert max(amounts.cpu, amounts.memory, amounts.ephemeral_storage) <= MAX_INT64


@patient
@given(requests=st.lists(LISTS, max_size=4))
def test_one_more_container_never_asks_for_less(requests: list[Any]) -> None:
    totals = [
        effective_pod(_spec({"app": [{"requests": each} for each in requests[:count]]})).requests
        for count in range(len(requests) + 1)
    ]
    for smaller, larger in pairwise(totals):
        assert smaller.maximum(larger) == larger


def _effective(case: dict[str, Any]) -> EffectivePod:
    pod = _pod(case)
    ranges = [limit_range_defaults(_limit_range(each)) for each in case.get("limitRanges", ())]
    return effective_pod(
        pod.spec or PodSpec(),
        status=pod.status,
        limit_ranges=[each for each in ranges if each is not None],
        overhead=case.get("runtimeClassOverhead"),
    )


def _pod(case: dict[str, Any]) -> KubeObject:
    spec = _spec_manifest(case)
    states = {
        key: [_state(name, each) for name, each in _named(case, short)]
        for key, short in (("containerStatuses", "app"), ("initContainerStatuses", "init"))
    }
    status = {**case.get("podStatus", {}), **states}
    if "resize" in case:
        status["conditions"] = [{"type": "PodResizePending", "reason": case["resize"]}]
    return msgspec.convert({"kind": "Pod", "spec": spec, "status": status}, KubeObject)


def _spec(case: dict[str, Any]) -> PodSpec:
    return msgspec.convert(_spec_manifest(case), PodSpec)


def _spec_manifest(case: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "containers": [_container(name, each) for name, each in _named(case, "app")],
        "initContainers": [_container(name, each) for name, each in _named(case, "init")],
        "ephemeralContainers": [_container(name, each) for name, each in _named(case, "ephemeral")],
    }
    spec |= {"resources": case["pod"]} if "pod" in case else {}
    return spec | ({"overhead": case["overhead"]} if "overhead" in case else {})


def _named(case: dict[str, Any], short: str) -> list[tuple[str, dict[str, Any]]]:
    return [(f"{short}-{index}", each) for index, each in enumerate(case.get(short, ()))]


def _container(name: str, short: dict[str, Any]) -> dict[str, Any]:
    resources = {basis: short[basis] for basis in ("requests", "limits") if basis in short}
    container = {"name": name, "resources": resources}
    return container | ({"restartPolicy": "Always"} if short.get("sidecar") else {})


def _state(name: str, short: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "resources": short.get("status"),
        "allocatedResources": short.get("allocated"),
    }


def _limit_range(short: dict[str, Any]) -> KubeObject:
    item = {"type": "Container"} | {key: short[key] for key in short if key != "name"}
    manifest = {
        "kind": "LimitRange",
        "metadata": {"name": short["name"]},
        "spec": {"limits": [item]},
    }
    return msgspec.convert(manifest, KubeObject)


def _amounts(texts: dict[str, Any]) -> Amounts:
    return Amounts(
        cpu=milli(texts.get("cpu", 0)),
        memory=whole(texts.get("memory", 0)),
        ephemeral_storage=whole(texts.get("ephemeral-storage", 0)),
        pods=1,
    )


def _sources(pod: EffectivePod) -> dict[str, str]:
    return {
        f"{basis}.{resource}": source
        for container in pod.containers
        for (basis, resource), source in container.sources.items()
    }


def _fill_in(spec: PodSpec) -> None:
    """Default requests from limits, as the API server does before a pod is stored."""
    for container in (*(spec.containers or ()), *(spec.init_containers or ())):
        if container.resources is not None and container.resources.limits:
            own = container.resources.requests or {}
            container.resources.requests = {**container.resources.limits, **own}
    if spec.resources is not None and spec.resources.limits:
        pod = effective_pod(spec)
        spec.resources.requests = {
            name: f"{value}m" if name == "cpu" else value
            for name, value in (pod.pod_requests or {}).items()
        }
