"""The book by its definitions: everything is recomputed from raw objects and open promises.

Slow on purpose, and of a different build than what it checks: lists instead of running sums, no
index, no cache. Shares quantities, pod sums and placement with the product, nothing else. Amounts
are vectors: cpu, memory, ephemeral-storage, pods requested; cpu, memory, ephemeral-storage limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from kube_headroom.capacity.promise import Promise
from kube_headroom.resources.amounts import Amounts
from kube_headroom.resources.objects import KubeObject, ObjectMeta
from kube_headroom.resources.placement import NodeFacts, Placement, admits, placement_of
from kube_headroom.resources.pod import effective_pod, scheduler_amounts
from kube_headroom.resources.quantity import milli, whole
from kube_headroom.resources.workload import GROUPS, workload_of
from tests.capacity.kept_seats import Kept, unknown_owner
from tests.capacity.manifests import PLURALS
from tests.capacity.world import World, is_finished

Vector = tuple[int, ...]
Nodes = frozenset[str]
ZERO: Vector = (0,) * 7
HOLD_SECONDS = 600
NEVER_ITSELF = {"DaemonSet", "CronJob"}


def vector(requests: Amounts, limits: Amounts) -> Vector:
    return (
        *(requests.cpu, requests.memory, requests.ephemeral_storage, requests.pods),
        *(limits.cpu, limits.memory, limits.ephemeral_storage),
    )


def add(one: Vector, other: Vector, times: int = 1) -> Vector:
    return tuple(a + b * times for a, b in zip(one, other, strict=True))


def most(one: Vector, other: Vector) -> Vector:
    return tuple(max(a, b) for a, b in zip(one, other, strict=True))


def any_above(one: Vector, other: Vector) -> bool:
    return any(a > b for a, b in zip(one, other, strict=True))


@dataclass
class Pod:
    uid: str
    owner: str
    """The workload that it counts under."""
    controller: str
    """The kind of its controller, if we know that kind."""
    node: str
    size: Vector
    priority: int
    placement: Placement
    on_node: bool
    live: bool


@dataclass
class Ask:
    """So many pods of this kind, as an object says or a promise."""

    count: int
    unit: Vector
    placement: Placement
    priority: int
    shown: bool


@dataclass
class Claim:
    """What a holder holds on one set of nodes."""

    placement: Placement
    priority: int
    unit: Vector
    count: int
    total: Vector
    coming: Vector
    """The part of total that objects show."""
    replaced: list[tuple[Placement, int, Vector]] = field(default_factory=list)


class Reference:
    """The cluster as a world was shown it, at this moment."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.nodes = {node.metadata.name or "": node for node in self._objects("nodes")}
        self.workloads = {
            str(obj.metadata.uid): obj
            for plural in (
                "deployments",
                "replicasets",
                "statefulsets",
                "daemonsets",
                "jobs",
                "cronjobs",
            )
            for obj in self._objects(plural)
        }
        self.pods = [self._pod(obj) for obj in self._objects("pods") if not is_finished(obj)]
        self.claims = self._claims()

    # What is where.

    def free(self, nodes: Nodes, threshold: int) -> Vector:
        """Allocatable less assigned, requests and limits, clamped on each node, summed."""
        result = ZERO
        for name in nodes:
            offered = self._allocatable(name)
            one = (*offered, *offered[:3])
            for pod in self.pods:
                if pod.on_node and pod.node == name and pod.priority >= threshold:
                    one = add(one, pod.size, -1)
            result = add(result, most(one, ZERO))
        return result

    def eligible(self, placement: Placement) -> Nodes:
        return frozenset(
            name for name, node in self.nodes.items() if admits(placement, facts(node))
        )

    def available(self) -> Nodes:
        return frozenset(
            name
            for name, node in self.nodes.items()
            if is_ready(node) and not facts(node).unschedulable
        )

    # What is held beside it.

    def held(self, nodes: Nodes, threshold: int) -> tuple[Vector, Vector]:
        """What must land in these nodes: all of it, and the part that objects show."""
        total, shown = ZERO, ZERO
        for claims in self.claims:
            whole_claim, shown_claim = ZERO, ZERO
            for claim in claims:
                if self._lands_in(claim, nodes) and claim.priority >= threshold:
                    whole_claim = most(
                        whole_claim, self._here(claim, claim.total, nodes, threshold)
                    )
                    shown_claim = most(
                        shown_claim, self._here(claim, claim.coming, nodes, threshold)
                    )
            total, shown = add(total, whole_claim), add(shown, shown_claim)
        return total, shown

    def _claims(self) -> list[list[Claim]]:
        """What every holder holds: pods that wait, promised pods, roots that lack some."""
        holders = [self._pod_claims(uid) for uid in self._pod_uids()]
        roots = [uid for uid in self._owners() if self._root(uid) == uid]
        pools = self._pools(roots)
        pooled = {uid for pool in pools for uid in pool}
        holders += [self._root_claims(uid) for uid in roots if uid not in pooled]
        holders += [self._pooled_claims(pool) for pool in pools]
        holders += [[self._seat(each)] for each in self.world.kept.free()]
        return [claims for claims in holders if claims]

    def _seat(self, seat: Kept) -> Claim:
        assert seat.pod.spec is not None
        size = vector(*scheduler_amounts(seat.pod))
        return Claim(seat.placement, seat.pod.spec.priority or 0, size, 1, size, size)

    def _lands_in(self, claim: Claim, nodes: Nodes) -> bool:
        eligible = self.eligible(claim.placement)
        requested = claim.unit[:4]
        return eligible <= nodes and any(
            not any_above(requested, self._allocatable(name)) for name in eligible
        )

    def _here(self, claim: Claim, amount: Vector, nodes: Nodes, threshold: int) -> Vector:
        if amount == ZERO or not claim.replaced:
            return amount
        for placement, priority, size in claim.replaced:
            eligible = self.eligible(placement)
            if priority >= threshold and (not eligible or eligible & nodes):
                amount = add(amount, size, -1)
        return most(amount, add(ZERO, claim.unit, claim.count))

    # Pods.

    def _pod_uids(self) -> set[str]:
        promised = {self.world.home(each) for each in self._promises("pods")}
        return promised | {pod.uid for pod in self.pods}

    def _pod_claims(self, uid: str) -> list[Claim]:
        pod = next((each for each in self.pods if each.uid == uid), None)
        promises = (each for each in self._promises("pods") if self.world.home(each) == uid)
        claims = [self._promised_pod(each, pod) for each in promises]
        if pod is not None and not pod.node and pod.live:
            claims.append(Claim(pod.placement, pod.priority, pod.size, 1, pod.size, pod.size))
        return [claim for claim in claims if claim.total != ZERO]

    def _promised_pod(self, promise: Promise, pod: Pod | None) -> Claim:
        ask = promise.version
        unit, count = vector(ask.unit.requests, ask.unit.limits), ask.count
        if pod is not None and not pod.live and not pod.on_node:
            count, pod = 0 if pod.uid == promise.uid else count, None
        if (
            pod is not None and pod.controller and promise.base and count
        ):  # taken from its controller
            count = count if pod.controller == "DaemonSet" or ask.owner else 0
            whole_pods = add(ZERO, unit, count)
            return Claim(ask.placement, ask.priority, unit, count, whole_pods, ZERO)
        if pod is not None and pod.node:
            growth = most(add(unit, pod.size, -1), ZERO)
            return Claim(ask.placement, ask.priority, growth, 0, growth, ZERO)
        if pod is not None and pod.size != ZERO:
            count = 1
        total = unit if count else ZERO
        return Claim(ask.placement, ask.priority, unit, count, total, ZERO)

    def _pod(self, obj: KubeObject) -> Pod:
        world, uid, spec = self.world, str(obj.metadata.uid), obj.spec
        assert spec is not None
        owner, kind = self._counts_under(obj), owner_of(obj.metadata)[1]
        node, size = spec.node_name or "", vector(*scheduler_amounts(obj))
        waited = world.now - world.unschedulable.get(uid, world.now)
        if not node and (spec.scheduling_gates or (waited >= HOLD_SECONDS)):
            size = ZERO
        present = not self._is_leaving(obj) and self._gone_until(owner) <= world.now
        replaced = kind not in {"", "DaemonSet"}
        away = node not in self.nodes or not is_ready(self.nodes[node])
        return Pod(
            uid,
            owner,
            kind,
            node,
            size,
            spec.priority or 0,
            placement_of(spec),
            on_node=present and bool(node),
            live=present and not (node and replaced and away),
        )

    def _is_leaving(self, obj: KubeObject) -> bool:
        return self.world.now < self.world.leaving.get(str(obj.metadata.uid), 0)

    # Who takes what by labels.

    def _counts_under(self, pod: KubeObject) -> str:
        """The workload that a pod counts under: not one that lets go of it."""
        owner, _ = owner_of(pod.metadata)
        if not owner:
            return self._taker(pod, "pods")
        selector = self._selector(owner)
        uid = str(pod.metadata.uid)
        promises = [each for each in self._promises("pods") if self.world.home(each) == uid]
        if any(each.base and each.version.count for each in promises):
            return ""
        return owner if selector is None or matches(selector, pod.metadata) else ""

    def _selector(self, uid: str) -> dict[str, str] | None:
        """What a workload selects by; not one that is being deleted, nor one that is unheard of."""
        if uid in self.workloads:
            obj = self.workloads[uid]
            selector = (obj.spec and obj.spec.selector) or {}
            terminating = obj.metadata.deletion_timestamp is not None
            return None if terminating else selector.get("matchLabels")
        for promise in self.world.ledger:
            if promise.covers is not None and self.world.home(promise) == uid:
                return dict(promise.covers.labels)
        return None

    def _taker(self, obj: KubeObject, plural: str) -> str:
        """The first known workload that takes an object without a controller."""
        if obj.metadata.owner_references or obj.metadata.deletion_timestamp is not None:
            return ""
        for uid in self.world.takers:
            kind, name = self._identity(uid)
            selector = self._selector(uid)
            its_kind = (kind == "Deployment") == (plural == "replicasets")
            of_set = kind != "StatefulSet" or re.fullmatch(
                re.escape(name) + "-[0-9]+", obj.metadata.name or ""
            )
            if its_kind and of_set and selector is not None and matches(selector, obj.metadata):
                return uid
        return ""

    def _identity(self, uid: str) -> tuple[str, str]:
        if uid in self.workloads:
            obj = self.workloads[uid]
            return obj.kind, obj.metadata.name or ""
        of_uid = (each for each in self.world.ledger if self.world.home(each) == uid)
        promise = next(each for each in of_uid if each.covers is not None)
        kinds = {plural: kind for kind, plural in PLURALS.items()}
        return kinds[promise.resource], promise.name

    # Owners.

    def _owners(self) -> set[str]:
        promised = {self.world.home(each) for each in self.world.ledger if each.resource != "pods"}
        parents = {each.version.owner for each in self.world.ledger} - {""}
        parents |= {self._owner(uid) for uid in self.workloads} - {""}
        return set(self.workloads) | set(self.world.deleted) | promised | parents

    def _parent(self, uid: str) -> str:
        if uid in self.workloads:
            obj = self.workloads[uid]
            taken = obj.kind == "ReplicaSet" and self._taker(obj, "replicasets")
            return self._owner(uid) or taken or ""
        if uid in self.world.deleted:
            return ""
        own = [each.version.owner for each in self.world.ledger if each.uid == uid]
        return own[0] if own and self._asks(uid) else ""

    def _owner(self, uid: str) -> str:
        """Who controls a workload that is shown, also of an unknown kind; not who will take it."""
        obj = self.workloads[uid]
        return owner_of(obj.metadata)[0] or unknown_owner(obj)

    def _gone_until(self, uid: str) -> float:
        if uid in self.world.deleted:
            return self.world.deleted[uid] + 150
        return self._gone_until(self._owner(uid)) if uid in self.workloads else 0

    def _asks(self, uid: str) -> list[Ask]:
        result = []
        if uid in self.workloads:
            workload = workload_of(self.workloads[uid])
            assert workload is not None
            pod = effective_pod(workload.template)
            result.append(
                Ask(
                    0 if workload.kind in NEVER_ITSELF else workload.desired,
                    vector(pod.requests, pod.limits),
                    placement_of(workload.template),
                    workload.template.priority or 0,
                    shown=True,
                )
            )
        for promise in self.world.ledger:
            retried = self._gone_until(uid) and promise.uid == uid
            if promise.resource != "pods" and self.world.home(promise) == uid and not retried:
                one = promise.version
                unit = vector(one.unit.requests, one.unit.limits)
                result.append(Ask(one.count, unit, one.placement, one.priority, shown=False))
        return result

    def _desired(self, uid: str) -> int:
        if self._gone_until(uid):
            return 0
        return max((ask.count for ask in self._asks(uid)), default=0)

    def _root(self, uid: str) -> str:
        parent = self._parent(uid)
        if parent.startswith("?"):
            return uid
        if parent and (self._gone_until(parent) or self._desired(parent)):
            return self._root(parent)
        return uid

    def _below(self, root: str) -> list[str]:
        if self._gone_until(root):
            return []
        leads = self._desired(root) > 0
        return [root] + (
            [uid for uid in self._owners() if self._parent(uid) == root] if leads else []
        )

    def _root_claims(self, root: str) -> list[Claim]:
        claims = [self._lacking(ask, root) for ask in self._asks(root)]
        return [claim for claim in claims if claim.total != ZERO]

    # Workloads of one unknown owner.

    def _pools(self, roots: list[str]) -> list[list[str]]:
        """Which of them count together, each with at least another."""
        by_kind: dict[object, list[str]] = {}
        for uid in roots:
            asks = self._asks(uid)
            kinds = {(ask.placement, ask.priority) for ask in asks}
            own = [pod for pod in self.pods if pod.owner == uid and pod.live]
            settled = all(self._is_in_place(ask, uid, pod) for ask in asks for pod in own)
            children = any(self._parent(each) == uid for each in self._owners())
            owner = self._parent(uid)
            alone = children or self._gone_until(uid) or len(kinds) != 1 or not settled
            if owner.startswith("?") and not alone:
                by_kind.setdefault((owner, kinds.pop()), []).append(uid)
        return [pool for pool in by_kind.values() if len(pool) > 1]

    def _pooled_claims(self, pool: list[str]) -> list[Claim]:
        claims = [self._pooled(pool, shown=True)]
        if any(not ask.shown for uid in pool for ask in self._asks(uid)):
            claims.append(self._pooled(pool, shown=False))
        return [claim for claim in claims if claim.total != ZERO]

    def _pooled(self, pool: list[str], *, shown: bool) -> Claim:
        count, unit, total = 0, ZERO, ZERO
        for uid in pool:
            asks = [ask for ask in self._asks(uid) if ask.shown or not shown]
            size = ZERO
            for ask in asks:
                size = most(size, ask.unit)
            live = sum(pod.owner == uid and pod.live for pod in self.pods)
            lacks = max((ask.count for ask in asks), default=0) - live
            count, total = count + lacks, add(total, size, lacks)
            unit = most(unit, size) if lacks > 0 else unit
        count = max(0, count)
        total = most(most(total, add(ZERO, unit, count)), ZERO)
        ask = self._asks(pool[0])[0]
        coming = total if shown else ZERO
        return Claim(ask.placement, ask.priority, unit, count, total, coming)

    def _lacking(self, ask: Ask, root: str) -> Claim:
        below = self._below(root)
        live = [pod for pod in self.pods if pod.owner in below and pod.live]
        unit = self._largest_template(ask, root, live)
        desired = sum(self._desired(uid) for uid in below if uid != root)
        count = max(0, max(ask.count, desired) - len(live))
        renewed, replaced, in_place = ZERO, [], 0
        for pod in live:
            if self._is_in_place(ask, root, pod):
                in_place += 1
                continue
            nodes = next(
                (each.placement for each in self._asks(pod.owner) if each.shown), ask.placement
            )
            if (nodes, pod.priority) == (ask.placement, ask.priority):
                renewed = add(renewed, pod.size, -1)
            else:
                replaced.append((nodes, pod.priority, pod.size))
        renewed = add(renewed, ask.unit, max(0, ask.count - in_place))
        children = ZERO
        for uid in below:
            if uid != root:
                largest = ZERO
                for other in self._asks(uid):
                    largest = most(largest, other.unit)
                lacks = self._desired(uid) - sum(pod.owner == uid for pod in live)
                children = add(children, largest, lacks)
        least = add(ZERO, unit, count)
        total = most(most(least, renewed), most(children, ZERO))
        coming = total if ask.shown else ZERO
        replaced = replaced if total != least else []
        return Claim(ask.placement, ask.priority, unit, count, total, coming, replaced)

    def _largest_template(self, ask: Ask, root: str, live: list[Pod]) -> Vector:
        """Of the templates that still have pods."""
        unit = ask.unit
        for pod in live:
            for other in self._asks(pod.owner) if pod.owner != root else ():
                unit = most(unit, other.unit)
            if pod.owner == root and self._keeps_old(root):
                unit = most(unit, pod.size)
        return unit

    def _keeps_old(self, uid: str) -> bool:
        """A StatefulSet that is updated in part."""
        spec = self.workloads[uid].spec if uid in self.workloads else None
        rolling = spec and spec.update_strategy and spec.update_strategy.rolling_update
        return bool(rolling and rolling.partition)

    def _is_in_place(self, ask: Ask, root: str, pod: Pod) -> bool:
        if pod.size == ZERO:
            return True
        if pod.priority != ask.priority:
            return False
        if pod.owner == root:
            return not any_above(ask.unit, pod.size)
        return any(
            (own.unit, own.placement) == (ask.unit, ask.placement)
            for own in self._asks(pod.owner)
            if own.shown
        )

    # Raw objects.

    def _objects(self, plural: str) -> Iterable[KubeObject]:
        return self.world.shown.get(plural, {}).values()

    def _promises(self, resource: str) -> list[Promise]:
        return [each for each in self.world.ledger if each.resource == resource]

    def _allocatable(self, name: str) -> Vector:
        status = self.nodes[name].status
        offered = (status and status.allocatable) or {}
        names = ("memory", "ephemeral-storage", "pods")
        return (milli(offered.get("cpu", "0")), *(whole(offered.get(key, "0")) for key in names))


def owner_of(metadata: ObjectMeta) -> tuple[str, str]:
    """The controlling workload's uid and kind, empty for none and for kinds that are no workload."""
    for owner in metadata.owner_references or ():
        group = owner.api_version.rpartition("/")[0]
        if owner.controller and owner.kind != "Pod" and GROUPS.get(owner.kind) == group:
            return owner.uid, owner.kind
    return "", ""


def matches(selector: dict[str, str], metadata: ObjectMeta) -> bool:
    """Every label that is asked for is there."""
    return selector.items() <= (metadata.labels or {}).items()


def facts(node: KubeObject) -> NodeFacts:
    """What the filters read of a node."""
    labels = {key: value or "" for key, value in (node.metadata.labels or {}).items()}
    spec = node.spec
    taints = tuple((spec and spec.taints) or ())
    return NodeFacts(node.metadata.name or "", labels, taints, bool(spec and spec.unschedulable))


def is_ready(node: KubeObject) -> bool:
    """Neither NotReady nor tainted as away."""
    away = {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
    conditions = (node.status and node.status.conditions) or ()
    return not any(
        each.type == "Ready" and each.status != "True" for each in conditions
    ) and not any(taint.key in away for taint in facts(node).taints)
