"""What is foretold of LimitRanges and ResourceQuotas is what a real API server then does.

Each random template is foretold, then really sent as pods: as a dry run where one pod is the
question, for good where a quota is to be used up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import httpx2
import msgspec
import pytest

from kube_headroom.capacity.completion import Completion
from kube_headroom.capacity.load import Load
from kube_headroom.capacity.quota import (
    Demand,
    PodTraits,
    Quota,
    counts,
    quota_of,
    shortage,
    unsaid,
)
from kube_headroom.resources.limit_range import limit_range, limit_range_faults
from kube_headroom.resources.objects import KubeObject, PodSpec
from kube_headroom.resources.pod import effective_pod
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until

pytestmark = pytest.mark.controlplane

Object = dict[str, Any]

AMOUNTS = {
    "cpu": ("50m", "100m", "200m", "0.5", "1", "2"),
    "memory": ("64Mi", "128Mi", "0.2Gi", "512Mi", "1Gi", "3G"),
    "ephemeral-storage": ("1Mi", "1Gi", "2Gi"),
}
RATIOS = ("1", "1.5", "2", "3", "8")
ANNOTATION = "kubernetes.io/limit-ranger"
PRIORITY_CLASS = "kube-headroom-test-quota"


@pytest.fixture(scope="module")
def api(control_plane: ControlPlane) -> Iterator[httpx2.Client]:
    with control_plane.client() as client:
        yield client


# LimitRanges


def test_limit_ranges_refuse_what_was_foretold(
    control_plane: ControlPlane, api: httpx2.Client, soak: bool
) -> None:
    """HR209 exactly where the API server refuses a pod of the template, and nowhere else."""
    random = Random(8)
    seen: Counter[str] = Counter()
    free = control_plane.namespace("unlimited")
    for _ in range(100 if soak else 20):
        namespace = control_plane.namespace("limited")
        stored = _limit_ranges(api, random, namespace)
        for _ in range(40):
            spec = _template(random)
            if _create(api, free, spec).status_code != httpx2.codes.CREATED:
                continue  # no such template would be let in at all
            faults = limit_range_faults(msgspec.convert(spec, PodSpec), stored)
            answer = _create(api, namespace, spec)
            refused = answer.status_code != httpx2.codes.CREATED
            assert refused == bool(faults), (stored, spec, faults, answer.text)
            seen["refused" if refused else "let in"] += 1
            for fault in faults:
                seen[fault.demand] += 1
    print(f"LimitRanges: {dict(seen)}")
    assert min(seen["refused"], seen["let in"], seen["min"], seen["max"], seen["ratio"]) > 10, seen


def _limit_ranges(api: httpx2.Client, random: Random, namespace: str) -> list[Any]:
    """Create one that binds containers, after one that only binds pods, and return what is kept."""
    stored = []
    kinds = [("Container",)] if random.random() < 0.5 else [("Pod",), ("Container", "Pod")]
    for number, types in enumerate(kinds):
        while True:  # most bounds that contradict each other are refused
            manifest = {
                "apiVersion": "v1",
                "kind": "LimitRange",
                "metadata": {"name": f"team-{number}"},
                "spec": {"limits": [_item(random, each) for each in types]},
            }
            answer = api.post(f"/api/v1/namespaces/{namespace}/limitranges", json=manifest)
            if answer.status_code == httpx2.codes.CREATED:
                break
            assert answer.status_code == httpx2.codes.UNPROCESSABLE_CONTENT, answer.text
        kept = limit_range(msgspec.json.decode(answer.content, type=KubeObject))
        written = limit_range(msgspec.convert(manifest, KubeObject))
        assert kept.name == written.name
        stored.append(kept)

    def is_seen() -> bool:
        answer = _create(api, namespace, {"containers": [_container("c", {}, {})]})
        if answer.status_code == httpx2.codes.FORBIDDEN:
            return "per Container" in answer.text or "per Pod" in answer.text
        return ANNOTATION in answer.json()["metadata"].get("annotations", {})

    wait_until(is_seen, 30, "the LimitRanges to be seen by admission")
    return stored


def _item(random: Random, kind: str) -> Object:
    item: Object = {"type": kind}
    if kind == "Container":  # always something to complete, so that it shows when it is in force
        item["defaultRequest"] = {"ephemeral-storage": "1Mi"}
    for resource in ("cpu", "memory"):
        amounts = AMOUNTS[resource]
        low, middle, high = sorted(random.choices(range(len(amounts)), k=3))
        for name, text, chance in (
            ("min", amounts[low], 0.3),
            ("max", amounts[high], 0.35),
            ("default", amounts[middle], 0.3 if kind == "Container" else 0),
            ("defaultRequest", amounts[low], 0.3 if kind == "Container" else 0),
            ("maxLimitRequestRatio", random.choice(RATIOS), 0.25),
        ):
            if random.random() < chance:
                item.setdefault(name, {})[resource] = text
    return item


# ResourceQuotas


def test_quotas_let_in_as_many_pods_as_was_foretold(
    control_plane: ControlPlane, api: httpx2.Client, soak: bool
) -> None:
    """HR210 names how many: so many pods are created one by one, and then one is refused."""
    random = Random(8)
    control_plane.apply(_priority_class())
    seen: Counter[str] = Counter()
    for _ in range(100 if soak else 20):
        namespace = control_plane.namespace("quota")
        specs = [_template(random, classes=True) for _ in range(12)]
        _fill(api, random, namespace, specs)
        quota = _quota(api, random, namespace)
        for spec in specs:
            seen[_use_up(api, namespace, quota, spec, random.randint(1, 5))] += 1
    print(f"quotas: {dict(seen)}")
    assert min(seen[each] for each in ("some", "none", "all", "unsaid", "not counted")) > 5, seen


def _use_up(api: httpx2.Client, namespace: str, quota: str, spec: Object, count: int) -> str:
    """Foretell what a quota makes of some pods, create them, and return what was the case."""
    if _create(api, "default", spec).status_code != httpx2.codes.CREATED:
        return "invalid"
    path = f"/api/v1/namespaces/{namespace}/resourcequotas/{quota}"
    kept = quota_of(msgspec.json.decode(api.get(path).content, type=KubeObject))
    assert kept is not None
    counted, lets_in, message = _foretold(kept, spec, count)
    made = 0
    for _ in range(count):
        answer = _create(api, namespace, spec, dry_run=False)
        if answer.status_code != httpx2.codes.CREATED:
            assert answer.status_code == httpx2.codes.FORBIDDEN, answer.text
            assert message in answer.text, (message, answer.text)
            break
        made += 1
    assert made == lets_in, (kept, spec, count, lets_in, message)
    if not counted:
        return "not counted"
    if message.startswith("must"):
        return "unsaid"
    return "all" if made == count else "some" if made else "none"


def _foretold(quota: Quota, spec: Object, count: int) -> tuple[bool, int, str]:
    """Return whether it is counted, how many get in, and what is said of the first that does not."""
    template = msgspec.convert(spec, PodSpec)
    pod = effective_pod(template)
    deadline = template.active_deadline_seconds is not None
    name = Completion().priority_class_name(template)
    if not counts(quota, PodTraits(pod.qos_class == "BestEffort", deadline, name)):
        return False, count, ""
    lacking = unsaid(quota, pod)
    if lacking:
        parts = (f"{resource} for: {','.join(names)}" for resource, names in lacking.items())
        return True, 0, f"must specify {'; '.join(parts)}"
    short = shortage(quota, Demand(count, Load(pod.requests, pod.limits)))
    return True, short.lets_in if short else count, f"exceeded quota: {quota.name}"


def _fill(api: httpx2.Client, random: Random, namespace: str, specs: list[Object]) -> None:
    """Create a few pods before there is a quota, so that it starts with something used."""
    for spec in random.sample(specs, 2):
        _create(api, namespace, spec, dry_run=False)


def _quota(api: httpx2.Client, random: Random, namespace: str) -> str:
    hard = {}
    for name, amounts in (
        ("pods", ("9", "20")),
        ("count/pods", ("12", "30")),
        ("requests.cpu", ("3", "9", "20")),
        ("cpu", ("4", "10")),
        ("requests.memory", ("4Gi", "10Gi")),
        ("memory", ("6Gi", "20Gi")),
        ("limits.cpu", ("10", "20")),
        ("limits.memory", ("10Gi", "30G")),
        ("requests.ephemeral-storage", ("4Gi", "9Gi")),
        ("limits.ephemeral-storage", ("9Gi", "20Gi")),
    ):
        if random.random() < 0.2:
            hard[name] = random.choice(amounts)
    selector, scopes = None, []
    chosen = random.choice(("", "", "", "scope", "scope", "class"))
    if chosen:
        hard = {name: amount for name, amount in hard.items() if _is_scopable(name)}
    if chosen == "scope":
        scopes = [random.choice(("Terminating", "NotTerminating", "BestEffort", "NotBestEffort"))]
        hard = {} if scopes == ["BestEffort"] else hard
    elif chosen == "class":
        operator = random.choice(("In", "NotIn", "Exists", "DoesNotExist"))
        values = {"values": [PRIORITY_CLASS]} if operator in {"In", "NotIn"} else {}
        selector = {
            "matchExpressions": [{"scopeName": "PriorityClass", "operator": operator, **values}]
        }
    spec = {"hard": hard or {"pods": "9"}, "scopes": scopes, "scopeSelector": selector}
    manifest = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "team"}}
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    answer = api.post(path, json={**manifest, "spec": spec})
    assert answer.status_code == httpx2.codes.CREATED, (spec, answer.text)

    def is_counted() -> bool:
        status = api.get(f"{path}/team").json().get("status", {})
        return status.get("used", {}).keys() == (hard or {"pods": "9"}).keys()

    wait_until(is_counted, 30, "the quota to be counted")
    return "team"


def _is_scopable(name: str) -> bool:
    return name != "count/pods" and "ephemeral" not in name


def _priority_class() -> Object:
    metadata = {"name": PRIORITY_CLASS}
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": metadata,
        "value": 7,
    }


# Pods


def _create(
    api: httpx2.Client, namespace: str, spec: Object, *, dry_run: bool = True
) -> httpx2.Response:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "asked-"}, "spec": spec}
    query = "?dryRun=All" if dry_run else ""
    return api.post(f"/api/v1/namespaces/{namespace}/pods{query}", json=pod)


def _template(random: Random, *, classes: bool = False) -> Object:
    spec: Object = {
        "containers": [_random_container(random, f"c{n}") for n in range(random.randint(1, 3))],
        "initContainers": [
            _random_container(random, f"i{n}") for n in range(random.choice((0, 0, 1, 2)))
        ],
    }
    for container in spec["initContainers"]:
        if random.random() < 0.5:
            container["restartPolicy"] = "Always"
    if random.random() < 0.2:
        names = random.choice((("cpu",), ("memory",), ("cpu", "memory")))
        basis = random.choice(("limits", "limits", "requests"))
        amounts = {name: random.choice(AMOUNTS[name][3:]) for name in names}
        spec["resources"] = {basis: amounts}
    if classes and random.random() < 0.4:
        spec["priorityClassName"] = PRIORITY_CLASS
    if classes and random.random() < 0.4:
        spec["activeDeadlineSeconds"] = 3600
        spec["restartPolicy"] = "Never"
    return spec


def _random_container(random: Random, name: str) -> Object:
    requests, limits = {}, {}
    for resource, texts in AMOUNTS.items():
        low, high = sorted(random.choices(range(len(texts)), k=2))
        if random.random() < 0.6:
            requests[resource] = texts[low]
        if random.random() < 0.6:
            limits[resource] = texts[high]
    return _container(name, requests, limits)


def _container(name: str, requests: Object, limits: Object) -> Object:
    resources = {"requests": requests, "limits": limits}
    return {"name": name, "image": "example.invalid/c", "resources": resources}
