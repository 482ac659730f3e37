"""Owners: workloads under their controllers, and what each root holds for pods that it lacks.

Separate from the book because it knows no pods: of them it has the counts that the book keeps.
"""

from collections.abc import Sequence

import msgspec

from kube_headroom.capacity.held import Register
from kube_headroom.capacity.matching import Matching
from kube_headroom.capacity.promise import Promise, Version
from kube_headroom.capacity.roots import Group, missing
from kube_headroom.capacity.siblings import is_surge, pooled, pools
from kube_headroom.resources.selector import Selector


class Owners:
    """All groups of a book."""

    def __init__(self, register: Register, matching: Matching) -> None:
        self.groups: dict[str, Group] = {}
        self._register = register
        self._matching = matching

    def group(self, uid: str) -> Group:
        """Return the group of an owner, made if nothing was known of it."""
        group = self.groups.get(uid)
        if group is None:
            group = self.groups[uid] = Group(uid)
        return group

    def hang(self, group: Group) -> None:
        """Hang a group where it belongs: under its controller, or a workload that will take it."""
        parent = group.owner
        if not parent and group.shown.tags is not None:
            parent = self._matching.taker_of(group.shown.tags)
        self._hang(group, parent)

    def _hang(self, group: Group, parent: str) -> None:
        if group.parent == parent:
            return
        old, group.parent = group.parent, parent
        if old in self.groups:
            self.groups[old].children.discard(group.uid)
            self.refresh(old)
            self.drop_if_empty(old)
        if parent:
            self.group(parent).children.add(group.uid)

    def drop_if_empty(self, uid: str) -> None:
        """Forget an owner of which nothing is known any more."""
        group = self.groups.get(uid)
        if group is not None and group.is_empty:
            self._hang(group, "")
            self._register.set(uid, ())
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

    def below(self, root: Group) -> list[Group]:
        """Return a group and all that hangs under it."""
        result = [root]
        for group in result:
            result.extend(self.groups[uid] for uid in group.children)
        return result

    def tree(self, uid: str) -> list[str]:
        """Return all owners that hang together with one."""
        return [group.uid for group in self.below(self._top(self.groups[uid]))]

    def _top(self, group: Group) -> Group:
        while group.parent:
            group = self.groups[group.parent]
        return group

    # What roots hold.

    def refresh(self, uid: str) -> None:
        """Recompute what the root above an owner holds for missing pods."""
        root = self.root_of(uid) if uid else None
        if root is not None:
            top = self._top(root)
            self._set_holdings(top if top.is_unknown else root)

    def _set_holdings(self, root: Group) -> None:
        if root.is_unknown:
            for pool in self._pools(root):
                self._set_pool(pool)
            return
        if root.leads:
            below = self.below(root)
            for group in below[1:]:
                self._register.set(group.uid, ())
            self._register.set(root.uid, missing(root, below))
            return
        self._register.set(root.uid, missing(root, [root]))
        for uid in root.children:
            self._set_holdings(self.groups[uid])

    def _set_pool(self, pool: Sequence[Group]) -> None:
        if len(pool) == 1:
            self._set_holdings(pool[0])
            return
        for group in pool[1:]:
            self._register.set(group.uid, ())
        self._register.set(pool[0].uid, pooled(pool))

    # Workloads of an owner of an unknown kind.

    def _pools(self, owner: Group) -> list[list[Group]]:
        return pools([self.groups[uid] for uid in owner.children])

    def pool_of(self, uid: str) -> list[Group]:
        """Return the siblings with which a workload of an unknown owner counts; else none."""
        group = self.groups.get(uid)
        owner = self.groups.get(group.parent) if group is not None else None
        if owner is None or not owner.is_unknown:
            return []
        return next((pool for pool in self._pools(owner) if group in pool), [])

    def is_surge(self, promise: Promise, basis_points: int) -> bool:
        """Tell whether a ReplicaSet of an unknown owner grows no further than policy records."""
        owner = self.groups.get(promise.version.owner)
        if promise.resource != "replicasets" or owner is None or not owner.is_unknown:
            return False
        return is_surge(promise, [self.groups[uid] for uid in owner.children], basis_points)

    # Questions.

    def latest(self, uid: str) -> Version | None:
        """Return what a workload was last heard to ask for, promised or seen."""
        group = self.groups.get(uid)
        if group is None:
            return None
        newest = max(group.promises, key=lambda each: each.base, default=None)
        return newest.version if newest is not None else group.version

    def one_more(self, uid: str) -> Version | None:
        """Return the pod that is made when a controller finds that it lacks one."""
        root = self.root_of(uid)
        latest = (self.latest(root.uid) if root is not None else None) or self.latest(uid)
        return msgspec.structs.replace(latest, count=1, owner="") if latest is not None else None

    def selector_of(self, uid: str) -> Selector | None:
        """Return by what a workload takes its pods, if that is known."""
        group = self.groups.get(uid)
        return group.selector if group is not None else None

    def shows(self, uid: str) -> bool:
        """Tell whether the view shows a workload."""
        group = self.groups.get(uid)
        return group is not None and group.version is not None
