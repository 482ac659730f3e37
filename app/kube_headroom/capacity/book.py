"""The book: what every root holds, from the view and from the promises laid over it.

A root holds its live pods as they are, on their nodes, plus what it may still create: missing pods
at template size. Pods are summed per owner, owners hang under their controllers, so an event
changes a few sums, whatever the number of pods. Time is an argument (seconds, monotonic).
"""

import heapq
from collections.abc import Iterable
from typing import Final

import msgspec

from kube_headroom.capacity.held import Holding, Register
from kube_headroom.capacity.load import NOTHING, Load, total
from kube_headroom.capacity.names import Names
from kube_headroom.capacity.node import Nodes
from kube_headroom.capacity.promise import Promise, Version
from kube_headroom.capacity.roots import Group, is_in_place, missing, renewal
from kube_headroom.capacity.scenes import Scenes
from kube_headroom.resources.placement import Placement

LEAVING_MAX_GRACE_SECONDS: Final = 120
"""A terminating pod with a longer grace holds its node until it is gone."""
LEAVING_MARGIN_SECONDS: Final = 30

ON_NODE: Final = 1
LIVE: Final = 2
NEVER: Final = float("inf")


class PodRow(msgspec.Struct, gc=False):
    """One pod of the view that is not finished."""

    uid: str
    owner: str
    """uid of its known controller, empty for a bare pod or an unknown owner."""
    node: str
    load: Load
    priority: int
    placement: Placement
    replaced: bool
    """Whether its controller makes another when its node is lost (a DaemonSet does not)."""
    leaving_until: float = 0.0
    weightless_at: float = NEVER
    """From when on it holds nothing: gated, or unschedulable for longer than policy waits."""
    counted: int = 0
    """As what it is counted now: ON_NODE, LIVE, both or neither."""
    size: Load = NOTHING
    """The load that it is counted with."""


class Book:
    """Commitments per root."""

    def __init__(self) -> None:
        self.nodes = Nodes()
        self.register = Register()
        self.scenes = Scenes(self.nodes, self.register)
        self.names = Names()
        self.pods: dict[str, PodRow] = {}
        self.groups: dict[str, Group] = {}
        self._pods_of_node: dict[str, set[str]] = {}
        self._pod_promises: dict[str, dict[Promise, int]] = {}
        self._deadlines: list[tuple[float, str]] = []

    # The view.

    def put_pod(self, row: PodRow, now: float) -> None:
        """Take over a pod as the view shows it."""
        old = self.pods.get(row.uid)
        if old is not None:
            if old.leaving_until and row.leaving_until:
                row.leaving_until = old.leaving_until  # first seen so, not last
            if old.weightless_at and row.weightless_at != NEVER:  # a gate is no waiting time
                row.weightless_at = min(row.weightless_at, old.weightless_at)
            self._uncount(old)
        self.pods[row.uid] = row
        self._file(row, now)
        if old is not None:
            self._unfile(old, kept=row)
        self._count(row, now)
        if old is not None and old.owner != row.owner:
            self._refresh_root(old.owner)

    def remove_pod(self, uid: str) -> None:
        """Forget a pod that is gone or finished."""
        row = self.pods.pop(uid, None)
        if row is not None:
            self._uncount(row)
            self._unfile(row, kept=None)
            self._refresh_pod(uid)
            self._refresh_root(row.owner)

    def put_workload(self, uid: str, version: Version, now: float) -> None:
        """Take over a workload as the view shows it."""
        group = self._group(uid)
        group.version = version
        self._hang(group, version.owner)
        parent = self.groups.get(version.owner)
        self._set_gone_until(group, parent.gone_until if parent else 0.0, now)
        self._refresh_root(uid)

    def remove_workload(self, uid: str, now: float) -> None:
        """Forget a deleted workload; its children and pods are leaving."""
        group = self.groups.get(uid)
        if group is None or group.version is None:
            return
        parent = group.parent
        group.version = None
        self._hang(group, "")
        until = now + LEAVING_MAX_GRACE_SECONDS + LEAVING_MARGIN_SECONDS
        self._set_gone_until(group, until, now)
        self._refresh_root(parent)
        self._drop_if_empty(uid)

    def node_changed(self, name: str, now: float) -> None:
        """Recount the pods of a node that appeared, went away, or changed its readiness."""
        self._recount(self._pods_of_node.get(name, ()), now)

    def tick(self, now: float) -> None:
        """Let time pass: what has been leaving, or unschedulable, too long is counted anew."""
        if not self._deadlines or self._deadlines[0][0] > now:
            return
        due = []
        while self._deadlines and self._deadlines[0][0] <= now:
            due.append(heapq.heappop(self._deadlines)[1])
        self._recount(due, now)

    # The promises.

    def lay(self, promise: Promise) -> None:
        """Lay a promise over the view; what is laid twice is to be lifted twice."""
        self._lay(promise, self.names.lay(promise))

    def lift(self, promise: Promise) -> None:
        """Take a promise off: it is settled, or expired."""
        self._lift(promise, self.names.lift(promise))

    def _lay(self, promise: Promise, home: str) -> None:
        if promise.resource == "pods":
            laid = self._pod_promises.setdefault(home, {})
            laid[promise] = laid.get(promise, 0) + 1
            self._refresh_pod(home)
            return
        group = self._group(home)
        group.promises[promise] = group.promises.get(promise, 0) + 1
        self._hang(group, group.owner)
        self._refresh_root(home)

    def _lift(self, promise: Promise, home: str) -> None:
        if promise.resource == "pods":
            _take_off(self._pod_promises[home], promise)
            if not self._pod_promises[home]:
                del self._pod_promises[home]
            self._refresh_pod(home)
            return
        group = self.groups[home]
        _take_off(group.promises, promise)
        self._hang(group, group.owner)
        self._refresh_root(home)
        self._drop_if_empty(home)

    # Counting pods.

    def _count(self, row: PodRow, now: float) -> None:
        group = self.groups.get(row.owner)
        row.size = NOTHING if not row.node and row.weightless_at <= now else row.load
        row.counted = 0
        if now >= max(row.leaving_until, group.gone_until if group else 0.0):
            if row.node:
                row.counted |= ON_NODE
                self.nodes.assign(row.node, row.priority, row.size, add=True)
            if not (row.node and row.replaced) or self.nodes.is_ready(row.node):
                row.counted |= LIVE
                if group is not None:
                    group.count_pod(row.size, row.priority, 1)
        self._refresh_pod(row.uid)
        self._refresh_root(row.owner)

    def _uncount(self, row: PodRow) -> None:
        if row.counted & ON_NODE:
            self.nodes.assign(row.node, row.priority, row.size, add=False)
        group = self.groups.get(row.owner)
        if row.counted & LIVE and group is not None:
            group.count_pod(row.size, row.priority, -1)
        row.counted = 0

    def _recount(self, uids: Iterable[str], now: float) -> None:
        for uid in uids:
            row = self.pods.get(uid)
            if row is not None:
                self._uncount(row)
                self._count(row, now)

    def _wake_at(self, when: float, uid: str, now: float) -> None:
        if now < when < NEVER:
            heapq.heappush(self._deadlines, (when, uid))

    def _file(self, row: PodRow, now: float) -> None:
        if row.node:
            self._pods_of_node.setdefault(row.node, set()).add(row.uid)
        if row.owner:
            group = self._group(row.owner)
            group.pods.add(row.uid)
            self._wake_at(group.gone_until, row.uid, now)
        self._wake_at(row.leaving_until, row.uid, now)
        self._wake_at(row.weightless_at, row.uid, now)

    def _unfile(self, row: PodRow, kept: PodRow | None) -> None:
        """Take a pod from where it was filed and is no more."""
        residents = self._pods_of_node.get(row.node)
        if residents is not None and (kept is None or kept.node != row.node):
            residents.discard(row.uid)
            if not residents:
                del self._pods_of_node[row.node]
        group = self.groups.get(row.owner)
        if group is not None and (kept is None or kept.owner != row.owner):
            group.pods.discard(row.uid)
            self._drop_if_empty(row.owner)

    # Owners.

    def _group(self, uid: str) -> Group:
        group = self.groups.get(uid)
        if group is None:
            group = self.groups[uid] = Group(uid)
        return group

    def _hang(self, group: Group, parent: str) -> None:
        """Hang a group under its controller's, or under none."""
        if group.parent == parent:
            return
        old, group.parent = group.parent, parent
        if old in self.groups:
            self.groups[old].children.discard(group.uid)
            self._refresh_root(old)
            self._drop_if_empty(old)
        if parent:
            self._group(parent).children.add(group.uid)

    def _set_gone_until(self, group: Group, until: float, now: float) -> None:
        if group.gone_until == until:
            return
        group.gone_until = until
        for uid in group.pods:
            self._wake_at(until, uid, now)
        self._recount(group.pods, now)
        for uid in tuple(group.children):
            child = self.groups[uid]
            if child.version is not None:
                self._set_gone_until(child, until, now)
        self._refresh_root(group.uid)

    def _drop_if_empty(self, uid: str) -> None:
        group = self.groups.get(uid)
        if group is not None and group.is_empty:
            self._hang(group, "")
            self.register.set(uid, ())
            del self.groups[uid]

    def root_of(self, uid: str) -> Group | None:
        """Return the topmost known owner, if anything is known of this one."""
        group = self.groups.get(uid)
        while group is not None and group.parent:
            parent = self.groups.get(group.parent)
            if parent is None or not parent.leads:
                break
            group = parent
        return group

    def _below(self, root: Group) -> list[Group]:
        result = [root]
        for group in result:
            result.extend(self.groups[uid] for uid in group.children)
        return result

    # Questions.

    def is_new(self, promise: Promise) -> bool:
        """Tell whether nothing that this promise may change is in the book."""
        home = self.names.tried(promise)
        if home in self.groups or home in self.pods or home in self._pod_promises:
            return False
        return promise.version.owner not in self.groups

    def latest(self, uid: str) -> Version | None:
        """Return what a workload was last heard to ask for, promised or seen."""
        group = self.groups.get(uid)
        if group is None:
            return None
        newest = max(group.promises, key=lambda each: each.base, default=None)
        return newest.version if newest is not None else group.version

    def renewal(self, promise: Promise) -> Holding | None:
        """Return what a root needs to become as promised; None for what is no root."""
        root = self.groups.get(self.names.tried(promise))
        if promise.resource == "pods" or root is None or self.root_of(root.uid) is not root:
            return None
        return renewal(promise.version, root, self._below(root))

    def asked(self, promise: Promise) -> Load:
        """Return the most that its workload was let ask for already on such nodes: view and promises.

        What it holds may be more for a while, if its parts are seen at different times.
        """
        group, new, most = self.groups.get(self.names.tried(promise)), promise.version, NOTHING
        for old in group.versions() if group is not None else ():
            if (old.placement, old.priority) == (new.placement, new.priority):
                most = most.maximum(old.unit.times(old.count))
        return most

    def holdings(self, promise: Promise) -> tuple[tuple[Holding, ...], ...]:
        """Return what is held now by all those that a promise may change: each holder's holdings."""
        home = self.names.tried(promise)
        if promise.resource == "pods" or home not in self.groups:
            return (self.register.of(home),)
        top = self.groups[home]
        while top.parent:
            top = self.groups[top.parent]
        return tuple(self.register.of(group.uid) for group in self._below(top))

    def holdings_with(self, promise: Promise) -> tuple[tuple[Holding, ...], ...]:
        """Return what `holdings` would be with this promise laid; the book is left as it was."""
        if promise.resource == "pods":
            home = self.names.tried(promise)
            return (self._pod_holdings(home, {*self._pod_promises.get(home, ()), promise}),)
        home = self.names.tried(promise)
        self._lay(promise, home)
        after = self.holdings(promise)
        self._lift(promise, home)
        return after

    def replaced_by(self, promise: Promise, threshold: int) -> tuple[int, dict[str, Load]]:
        """Return how many live pods are in place already, and by node what will be replaced.

        Of what will be replaced only pods of the threshold's priority and above.
        """
        current, leaving = 0, dict[str, Load]()
        if promise.resource == "pods":
            row = self.pods.get(promise.uid)
            return (1 if row and row.node else 0), leaving
        root = self.root_of(self.names.tried(promise))
        for group in self._below(root) if root else ():
            moving = False
            for (size, priority), count in group.sizes.items():
                if is_in_place(promise.version, root, group, size, priority):
                    current += count
                else:
                    moving = True
            for uid in group.pods if moving else ():
                row = self.pods[uid]
                in_place = is_in_place(promise.version, root, group, row.size, row.priority)
                if row.counted & ON_NODE and row.priority >= threshold and not in_place:
                    leaving[row.node] = leaving.get(row.node, NOTHING).plus(row.size)
        return current, leaving

    def present(self, uid: str) -> Load:
        """Return what the pods of the root above an owner ask for together, leaving ones apart."""
        root = self.root_of(uid)
        rows = (
            self.pods[pod] for group in (self._below(root) if root else ()) for pod in group.pods
        )
        return total(row.load for row in rows if not row.leaving_until)

    def on_nodes(self, uid: str) -> dict[str, Load]:
        """Return what an owner's own pods take, by node."""
        group = self.groups.get(uid)
        result: dict[str, Load] = {}
        for row in (self.pods[pod] for pod in group.pods) if group else ():
            if row.counted & ON_NODE:
                result[row.node] = result.get(row.node, NOTHING).plus(row.size)
        return result

    # Holdings.

    def _refresh_pod(self, uid: str) -> None:
        """Recompute what a pod holds beside what is counted on its node."""
        self.register.set(uid, self._pod_holdings(uid, self._pod_promises.get(uid, ())))

    def _pod_holdings(self, uid: str, promises: Iterable[Promise]) -> tuple[Holding, ...]:
        row = self.pods.get(uid)
        holdings = [_promised_pod(promise, row) for promise in promises]
        if row is not None and not row.node and row.counted & LIVE:
            size = row.size
            holdings.append(Holding(row.placement, row.priority, size, 1, size, size))
        return tuple(part for part in holdings if part.total != NOTHING)

    def _refresh_root(self, uid: str) -> None:
        """Recompute what the root above an owner holds for missing pods."""
        root = self.root_of(uid) if uid else None
        if root is not None:
            self._set_holdings(root)

    def _set_holdings(self, root: Group) -> None:
        if root.leads:
            below = self._below(root)
            for group in below[1:]:
                self.register.set(group.uid, ())
            self.register.set(root.uid, missing(root, below))
            return
        self.register.set(root.uid, missing(root, [root]))
        for uid in root.children:
            self._set_holdings(self.groups[uid])


def _take_off(laid: dict[Promise, int], promise: Promise) -> None:
    laid[promise] -= 1
    if not laid[promise]:
        del laid[promise]


def _promised_pod(promise: Promise, row: PodRow | None) -> Holding:
    """Return what a promised pod holds: all of it, or on its node what it is to grow by.

    The row may be of another pod of the same name: while that one is there, this one is not yet.
    """
    version = promise.version
    unit, count = version.unit, version.count
    if row is not None and not row.counted:  # leaving
        count = 0 if promise.uid == row.uid else count
        row = None
    if row is not None and row.node:
        unit, count = unit.minus(row.load).clamped(), 0
    elif row is not None and row.size != NOTHING:
        count = 1  # it waits already; its controller, if any, has been charged for it
    total = unit if count or (row is not None and row.node) else NOTHING
    return Holding(version.placement, version.priority, unit, count, total, NOTHING)
