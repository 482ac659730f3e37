"""Room by its definition, from what `kubectl get -o json` prints; slow, and shares no code with the product.

For somebody of priority 0 who may preempt and whose pods may go to every node that is neither
cordoned nor tainted, in a cluster at rest: nothing is promised that is not seen. One row an object,
no sums that are kept, whole numbers only: millis of cpu, bytes of memory, pods.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from typing import Any

from tests.controlplane.cluster import ControlPlane

Object = Mapping[str, Any]
Amounts = tuple[int, ...]
"""cpu, memory and pods requested; memory limits."""

KINDS = {
    "Deployment": "apps/v1",
    "ReplicaSet": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
    "ReplicationController": "v1",
}
LISTED = "nodes,pods,priorityclasses," + ",".join(f"{kind.lower()}s" for kind in KINDS)
AWAY = {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
SUFFIXES = {
    **{suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti"), 1)},
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate(("k", "M", "G", "T"), 1)},
    "m": Decimal("0.001"),
    "u": Decimal("0.000001"),
    "n": Decimal("0.000000001"),
}
ZERO: Amounts = (0, 0, 0, 0)
LONGEST_GRACE_SECONDS = 120
LEAVING_SECONDS = 30
MAXIMUM_LIMITS = Decimal("1.5")  # the chart's maximumLimits of memory


@dataclass(frozen=True)
class Room:
    """What is left of one resource in one set of nodes, and of what it is left."""

    nodes: int
    free: int
    reserve: int
    coming: int
    promised: int = 0

    @property
    def left(self) -> int:
        return self.free - self.reserve - self.coming - self.promised


def quantity(text: str, scale: int = 1) -> int:
    """Return a quantity in so many parts of its unit, rounded up."""
    suffix = next((each for each in SUFFIXES if text.endswith(each)), "")
    number = Decimal(text.removesuffix(suffix)) * SUFFIXES.get(suffix, Decimal(1)) * scale
    return int(number.to_integral_value(ROUND_CEILING))


def plus(one: Amounts, other: Amounts, times: int = 1) -> Amounts:
    return tuple(a + b * times for a, b in zip(one, other, strict=True))


def most(*amounts: Amounts) -> Amounts:
    return tuple(max(each) for each in zip(*amounts, strict=True))


def reserved(offered: int, share: str) -> int:
    """Return a percentage of what nodes offer, rounded up."""
    percent = Decimal(share.removesuffix("%")) / 100
    return int((offered * percent).to_integral_value(ROUND_CEILING))


# One pod


def declared(spec: Object, statuses: Iterable[Object] = ()) -> Amounts:
    """Return what a pod asks for: its containers together, or an init container beside sidecars."""
    shown = {each["name"]: each["resources"] for each in statuses if "resources" in each}
    amounts = {each["name"]: ZERO for each in spec["containers"]}
    for each in (*spec["containers"], *spec.get("initContainers", ())):
        own = _container(each.get("resources", {}))
        amounts[each["name"]] = most(own, _container(shown.get(each["name"], {})))
    total = ZERO
    for each in spec["containers"]:
        total = plus(total, amounts[each["name"]])
    beside, peak = ZERO, ZERO
    for each in spec.get("initContainers", ()):
        if each.get("restartPolicy") == "Always":
            total, beside = plus(total, amounts[each["name"]]), plus(beside, amounts[each["name"]])
        peak = most(peak, plus(beside, amounts[each["name"]]))
    cpu, memory, _, limits = most(total, peak)
    return (cpu, memory, 1, limits)


def _container(resources: Object) -> Amounts:
    limits = resources.get("limits", {})
    requests = {**limits, **resources.get("requests", {})}
    cpu, memory = requests.get("cpu", "0"), requests.get("memory", "0")
    return (quantity(cpu, 1000), quantity(memory), 0, quantity(limits.get("memory", "0")))


def controller(obj: Object) -> str:
    """Return the uid of the known workload that an object belongs to."""
    for each in obj["metadata"].get("ownerReferences", ()):
        if each.get("controller") and KINDS.get(each["kind"]) == each["apiVersion"]:
            return str(each["uid"])
    return ""


def tolerated(taint: Object, tolerations: Iterable[Object]) -> bool:
    return any(
        each.get("effect", taint["effect"]) == taint["effect"]
        and each.get("key", taint["key"]) == taint["key"]
        and (each.get("operator") == "Exists" or each.get("value", "") == taint.get("value", ""))
        for each in tolerations
    )


# The cluster


class Cluster:
    """Everything that was listed, at one moment."""

    def __init__(self, objects: Iterable[Object], now: datetime) -> None:
        self.now = now
        of_kind: dict[str, list[Object]] = {}
        for each in objects:
            of_kind.setdefault(each["kind"], []).append(each)
        self.nodes = of_kind.get("Node", [])
        self.classes = of_kind.get("PriorityClass", [])
        self.workloads = {
            each["metadata"]["uid"]: each for kind in KINDS for each in of_kind.get(kind, ())
        }
        self.pods = [each for each in of_kind.get("Pod", ()) if self._is_there(each)]

    @classmethod
    def now_in(cls, cluster: ControlPlane) -> Cluster:
        """List all that counts."""
        text = cluster.kubectl("get", LISTED, "--all-namespaces", "-o", "json").stdout
        return cls(json.loads(text)["items"], datetime.now(UTC))

    def rooms(self, reserve: str = "0%") -> dict[str, Room]:
        """Return by code the tightest of the two: where the pods may go, and all there is."""
        mine = [each for each in self.nodes if self._may_use({}, each)]
        everywhere = [each for each in self.nodes if self._is_available(each)]
        return {
            code: min(
                (self._room(nodes, index, reserve) for nodes in (mine, everywhere)),
                key=lambda room: room.left,
            )
            for code, index in (("HR201", 1), ("HR202", 3), ("HR203", 0), ("HR206", 2))
        }

    def _room(self, nodes: list[Object], index: int, reserve: str) -> Room:
        names = {each["metadata"]["name"] for each in nodes}
        offered = {each["metadata"]["name"]: self._offered(each)[index] for each in nodes}
        free = 0
        for name, amount in offered.items():
            taken = (each for each in self.pods if each["spec"].get("nodeName") == name)
            used = sum(self._size(each)[index] for each in taken if self._priority(each) >= 0)
            free += max(0, amount - used)
        share = reserve if index == 1 else "0%"
        coming = self._coming(names)[index]
        return Room(len(names), free, reserved(sum(offered.values()), share), coming)

    # Pods

    def _is_there(self, pod: Object) -> bool:
        """Tell whether it counts: neither finished nor leaving, nor left over from what is deleted."""
        if pod["status"].get("phase") in {"Succeeded", "Failed"}:
            return False
        owner = controller(pod)
        if owner and owner not in self.workloads:
            return False
        ends = pod["metadata"].get("deletionTimestamp")
        if (
            not ends
            or pod["metadata"].get("deletionGracePeriodSeconds", 30) > LONGEST_GRACE_SECONDS
        ):
            return True
        return self.now > datetime.fromisoformat(ends) + timedelta(seconds=LEAVING_SECONDS)

    def _size(self, pod: Object) -> Amounts:
        waits = "nodeName" not in pod["spec"]
        if waits and pod["spec"].get("schedulingGates"):
            return ZERO
        return declared(pod["spec"], pod["status"].get("containerStatuses", ()))

    def _is_live(self, pod: Object) -> bool:
        """Tell whether its owner has it; of a lost node only a DaemonSet's and a bare pod are."""
        owner, node = controller(pod), pod["spec"].get("nodeName")
        if not node or not owner or self.workloads[owner]["kind"] == "DaemonSet":
            return True
        return any(self._is_ready(each) for each in self.nodes if each["metadata"]["name"] == node)

    def _priority(self, pod: Object) -> int:
        return int(pod["spec"].get("priority", 0))

    # Nodes

    def _offered(self, node: Object) -> Amounts:
        offered = node["status"]["allocatable"]
        memory = quantity(offered["memory"])
        cpu, pods = quantity(offered["cpu"], 1000), quantity(offered["pods"])
        return (cpu, memory, pods, int(memory * MAXIMUM_LIMITS))

    def _is_ready(self, node: Object) -> bool:
        conditions = node["status"].get("conditions", ())
        ready = all(each["status"] == "True" for each in conditions if each["type"] == "Ready")
        return ready and not AWAY & {each["key"] for each in node["spec"].get("taints", ())}

    def _is_available(self, node: Object) -> bool:
        return self._is_ready(node) and not node["spec"].get("unschedulable")

    def _may_use(self, spec: Object, node: Object) -> bool:
        labels = node["metadata"].get("labels", {})
        wanted: Object = spec.get("nodeSelector") or {}
        if any(labels.get(key) != value for key, value in wanted.items()):
            return False
        taints = [each for each in node["spec"].get("taints", ()) if each["effect"][:2] == "No"]
        return all(tolerated(each, spec.get("tolerations") or ()) for each in taints)

    def _counts(self, spec: Object, size: Amounts, names: set[str]) -> bool:
        """Tell whether such pods can only land in these nodes, and one of them could hold one."""
        eligible = [each for each in self.nodes if self._may_use(spec, each)]
        here = {each["metadata"]["name"] for each in eligible} <= names
        return here and any(
            all(a <= b for a, b in zip(size[:3], self._offered(each)[:3], strict=True))
            for each in eligible
        )

    # What is to come

    def _coming(self, names: set[str]) -> Amounts:
        """Return what has no node yet: pods that wait, and pods that workloads lack."""
        total = ZERO
        for each in self.pods:
            size = self._size(each)
            if "nodeName" not in each["spec"] and self._priority(each) >= 0:
                total = plus(total, size if self._counts(each["spec"], size, names) else ZERO)
        for each in self.workloads.values():
            if not self._parent(each) and each["kind"] not in {"DaemonSet", "CronJob"}:
                total = plus(total, self._lacking(each, names))
        return total

    def _parent(self, workload: Object) -> Object | None:
        """Return the controller that speaks for a workload; one that asks for no pods does not."""
        parent = self.workloads.get(controller(workload))
        return parent if parent is not None and self._wanted(parent) else None

    def _lacking(self, root: Object, names: set[str]) -> Amounts:
        """Return what a root's pods that do not live yet ask for.

        At the largest template that has pods, and at least what its present template's pods need
        beyond the others, which they replace.
        """
        below = [root, *self._children(root["metadata"]["uid"])]
        template = root["spec"]["template"]["spec"]
        unit = largest = declared(template)
        priority = self._template_priority(template)
        live, in_place, replaced, wanted = 0, 0, ZERO, self._wanted(root)
        for each in below:
            own = each["spec"]["template"]["spec"]
            pods = [pod for pod in self._pods_of(each) if self._is_live(pod)]
            live += len(pods)
            if pods:
                largest = most(largest, declared(own))
            for pod in pods:
                size = self._size(pod)
                is_new = declared(own) == unit if each is not root else most(size, unit) == size
                if is_new and self._priority(pod) == priority:
                    in_place += 1
                elif self._priority(pod) >= 0:
                    replaced = plus(replaced, size)
        children = sum(self._wanted(each) for each in below[1:])
        if priority < 0 or not self._counts(template, unit, names):
            return ZERO
        missing = plus(ZERO, largest, max(0, max(wanted, children) - live))
        renewed = plus(plus(ZERO, unit, max(0, wanted - in_place)), replaced, -1)
        return most(missing, renewed, ZERO)

    def _children(self, uid: str) -> Iterator[Object]:
        for each in self.workloads.values():
            if controller(each) == uid:
                yield each
                yield from self._children(each["metadata"]["uid"])

    def _pods_of(self, workload: Object) -> list[Object]:
        return [each for each in self.pods if controller(each) == workload["metadata"]["uid"]]

    def _wanted(self, workload: Object) -> int:
        kind, spec, status = workload["kind"], workload["spec"], workload["status"]
        if kind in {"DaemonSet", "CronJob"}:
            return 0
        if kind != "Job":
            return int(spec.get("replicas", 1))
        ended = {each["type"] for each in status.get("conditions", ()) if each["status"] == "True"}
        if spec.get("suspend") or ended & {"Complete", "Failed"}:
            return 0
        parallel, succeeded = int(spec.get("parallelism", 1)), int(status.get("succeeded", 0))
        if "completions" not in spec:
            return int(status.get("active", 0)) if succeeded else parallel
        failed = len(list(indexes(status.get("failedIndexes", ""))))
        return max(0, min(parallel, int(spec["completions"]) - succeeded - failed))

    def _template_priority(self, spec: Object) -> int:
        """Return the priority that the API server will give to the pods of a template."""
        name = spec.get("priorityClassName")
        for each in self.classes:
            if each["metadata"]["name"] == name or (not name and each.get("globalDefault")):
                return int(each["value"])
        return int(spec.get("priority", 0))


def indexes(text: str) -> Iterator[int]:
    """Yield the numbers in `1,3-5`."""
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)
