"""The book: what every root holds, from the view and from the promises laid over it.

A root holds its live pods as they are, on their nodes, plus what it may still create: missing pods
at template size. Pods are summed per owner, owners hang under their controllers, so an event
changes a few sums, whatever the number of pods. Time is an argument (seconds, monotonic).
"""

from kube_headroom.capacity.held import Holding, Register
from kube_headroom.capacity.load import NOTHING, Load, total
from kube_headroom.capacity.matching import Matching
from kube_headroom.capacity.names import Names
from kube_headroom.capacity.node import Nodes
from kube_headroom.capacity.owners import Owners
from kube_headroom.capacity.pod_counts import PodCounts, take_off
from kube_headroom.capacity.pods import (
    LEAVING_MARGIN_SECONDS,
    LEAVING_MAX_GRACE_SECONDS,
    ON_NODE,
    PodRow,
)
from kube_headroom.capacity.promise import Promise, Version
from kube_headroom.capacity.roots import UNSEEN, Group, Shown, is_in_place, renewal
from kube_headroom.capacity.scenes import Scenes
from kube_headroom.capacity.siblings import still_to_come
from kube_headroom.resources.selector import Selector


class Book:
    """Commitments per root."""

    def __init__(self) -> None:
        self.nodes = Nodes()
        self.register = Register()
        self.matching = Matching()
        self.owners = Owners(self.register, self.matching)
        self.counts = PodCounts(self.nodes, self.register, self.owners, self.matching)
        self.seats = self.counts.seats
        self.pods = self.counts.rows
        self.groups = self.owners.groups
        self.names = Names()
        self.scenes = Scenes(self.nodes, self.register)

    # The view.

    def put_pod(self, row: PodRow, now: float) -> None:
        """Take over a pod as the view shows it."""
        self._pass(now)
        self.counts.put(row)

    def remove_pod(self, uid: str, *, finished: bool = False) -> None:
        """Forget a pod that is gone or finished."""
        self.counts.remove(uid, finished=finished)

    def put_workload(self, uid: str, version: Version, now: float, shown: Shown = UNSEEN) -> None:
        """Take over a workload as the view shows it."""
        self._pass(now)
        group = self.owners.group(uid)
        group.version, group.shown = version, shown
        self.matching.put_loose(uid, shown.tags)
        self.owners.hang(group)
        parent = self.groups.get(version.owner)
        self._set_gone_until(group, parent.gone_until if parent else 0.0)
        self._select(group, shown.selector)
        self.owners.refresh(uid)

    def remove_workload(self, uid: str, now: float) -> None:
        """Forget a deleted workload; its children and pods are leaving, unless it orphans them."""
        self._pass(now)
        group = self.groups.get(uid)
        if group is None or group.version is None:
            return
        orphans, group.version, group.shown = group.shown.orphans, None, UNSEEN
        self.matching.put_loose(uid, None)
        self._select(group, group.covers)
        parent = group.parent
        if not orphans:
            until = now + LEAVING_MAX_GRACE_SECONDS + LEAVING_MARGIN_SECONDS
            self._set_gone_until(group, until)
        self.owners.hang(group)
        self.owners.refresh(parent)
        self.owners.refresh(uid)
        self.owners.drop_if_empty(uid)

    def node_changed(self, name: str, now: float) -> None:
        """Recount the pods of a node that appeared, went away, or changed its readiness."""
        self._pass(now)
        self.counts.node_changed(name)

    def tick(self, now: float) -> None:
        """Let time pass: what has been leaving, or unschedulable, too long is counted anew."""
        self._pass(now)
        self.counts.tick()

    def _pass(self, now: float) -> None:
        self.counts.now = max(self.counts.now, now)

    # The promises.

    def lay(self, promise: Promise) -> None:
        """Lay a promise over the view; what is laid twice is to be lifted twice."""
        self._lay(promise, self.names.lay(promise))

    def lift(self, promise: Promise) -> None:
        """Take a promise off: it is settled, or expired."""
        self._lift(promise, self.names.lift(promise))

    def _lay(self, promise: Promise, home: str) -> None:
        if promise.resource == "pods":
            self.counts.lay(promise, home)
            return
        group = self.owners.group(home)
        group.promises[promise] = group.promises.get(promise, 0) + 1
        self.owners.hang(group)
        if promise.covers is not None and group.version is None:
            self._select(group, group.covers)
        self.owners.refresh(home)

    def _lift(self, promise: Promise, home: str) -> None:
        if promise.resource == "pods":
            self.counts.lift(promise, home)
            return
        group = self.groups[home]
        take_off(group.promises, promise)
        self.owners.hang(group)
        if promise.covers is not None and group.version is None:
            self._select(group, group.covers)
        self.owners.refresh(home)
        self.owners.drop_if_empty(home)

    def _select(self, group: Group, selector: Selector | None) -> None:
        """Note by what a workload takes pods or ReplicaSets, and let it take or leave them."""
        if selector == group.selector:
            return
        before, group.selector = group.selector, selector
        for uid in tuple(group.strays):
            self.counts.regroup(self.pods[uid])
        self.matching.put_taker(group.uid, selector)
        for uid in {*self.matching.adoptable(before), *self.matching.adoptable(selector)}:
            if uid in self.pods:
                self.counts.regroup(self.pods[uid])
            else:
                self.owners.hang(self.groups[uid])
                self.owners.refresh(uid)

    # Owners.

    def _set_gone_until(self, group: Group, until: float) -> None:
        if group.gone_until == until:
            return
        group.gone_until = until
        for uid in group.pods:
            self.counts.wake_at(until, uid)
        self.counts.recount(group.pods)
        for uid in tuple(group.children):
            child = self.groups[uid]
            if child.version is not None and child.version.owner == group.uid:
                self._set_gone_until(child, until)
        self.owners.refresh(group.uid)

    # Questions.

    def is_new(self, promise: Promise) -> bool:
        """Tell whether it is a create that nothing in the book has to do with."""
        if promise.base or promise.version.owner or promise.covers is not None:
            return False
        home = self.names.tried(promise)
        return not (home in self.groups or home in self.pods or self.counts.promised(home))

    def latest(self, uid: str) -> Version | None:
        """Return what a workload was last heard to ask for, promised or seen."""
        return self.owners.latest(uid)

    def renewal(self, promise: Promise) -> Holding | None:
        """Return what a root needs to become as promised; None for what is no root."""
        root = self.groups.get(self.names.tried(promise))
        if promise.resource == "pods" or root is None or self.owners.root_of(root.uid) is not root:
            return None
        return renewal(promise.version, root, self.owners.below(root))

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
        return tuple(map(self.register.of, self._holders(promise)))

    def holdings_with(self, promise: Promise) -> tuple[tuple[Holding, ...], ...]:
        """Return what `holdings` would be with this promise laid; the book is left as it was."""
        holders = self._holders(promise)
        home = self.names.tried(promise)
        if promise.resource == "pods" and len(holders) == 1:
            return (self.counts.holdings_with(promise, home),)
        self._lay(promise, home)
        after = tuple(map(self.register.of, holders))
        self._lift(promise, home)
        return after

    def _holders(self, promise: Promise) -> list[str]:
        """Return all those whose holdings a promise may change, itself first."""
        home = self.names.tried(promise)
        holders = [home]
        if promise.resource == "pods":
            row = self.pods.get(home)
            if row is not None and row.group and promise.lets_go:
                holders += self.owners.tree(row.group)
            return holders + self.seats.holders(promise.version.owner)
        if home in self.groups:
            return self.owners.tree(home)
        if promise.version.owner in self.groups:
            holders += self.owners.tree(promise.version.owner)
        for uid in self.matching.adoptable(promise.covers):
            holders += self.owners.tree(uid) if uid in self.groups else ()
        return list(dict.fromkeys(holders))

    def replaced_by(self, promise: Promise, threshold: int) -> tuple[int, dict[str, Load]]:
        """Return how many live pods are in place already, and by node what will be replaced.

        Of what will be replaced only pods of the threshold's priority and above.
        """
        home = self.names.tried(promise)
        if promise.resource == "pods":
            row = self.pods.get(home)
            if row is not None and row.group and promise.lets_go:
                return -self._lacking(row.group), {}
            return (1 if row and row.node else 0), {}
        if home in self.groups and not self.owners.pool_of(home):
            return self._replaced(promise, home, threshold)
        self._lay(promise, home)
        result = self._replaced(promise, home, threshold)
        self._lift(promise, home)
        return result

    def _lacking(self, owner: str) -> int:
        """Return how many pods the root above an owner lacks already."""
        root = self.owners.root_of(owner)
        holdings = self.register.of(root.uid) if root is not None else ()
        return max((each.count for each in holdings), default=0)

    def _replaced(self, promise: Promise, home: str, threshold: int) -> tuple[int, dict[str, Load]]:
        current, leaving = 0, dict[str, Load]()
        pool = self.owners.pool_of(home)
        if len(pool) > 1:
            return promise.version.count - still_to_come(pool), leaving
        root = pool[0] if pool else self.owners.root_of(home)
        for group in self.owners.below(root) if root else ():
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
        root = self.owners.root_of(uid)
        rows = (
            self.pods[pod]
            for group in (self.owners.below(root) if root else ())
            for pod in group.pods
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
