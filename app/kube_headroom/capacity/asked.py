"""Asked: what a pod's or a workload's request comes to beside what its owner was charged for.

A pod that its controller keeps asks for nothing more. One that its controller is to lose, by its
labels or its owner references, asks for the one that the controller will make instead (ledger-protocol
L14). One of an owner of an unknown kind says whose it is: that owner may have a seat for it.
"""

import msgspec

from kube_headroom.capacity.owners import Owners
from kube_headroom.capacity.promise import UNKNOWN, Version
from kube_headroom.capacity.rows import known_owner, owner_of
from kube_headroom.capacity.view import View, object_key
from kube_headroom.resources.objects import KubeObject
from kube_headroom.resources.selector import Selector, selector_of


def pod_version(view: View, version: Version, obj: KubeObject, old: KubeObject | None) -> Version:
    """Return what a pod asks for, given what it would ask for if nobody controlled it."""
    owners = view.book.owners
    uid, kind = known_owner(old.metadata) if old is not None else ("", "")
    if old is not None and uid and _is_let_go(owners, uid, obj, old):
        # The next pod of a DaemonSet is made on the same node.
        instead = owners.one_more(uid) if kind != "DaemonSet" else None
        if instead is None:
            return version
        if object_key("pods", obj.metadata) in view.book.pods:
            return instead
        # Its own size is not in the book yet, and it may be of an earlier template.
        return msgspec.structs.replace(instead, unit=instead.unit.maximum(version.unit))
    if known_owner(obj.metadata)[0] or (obj.spec is not None and obj.spec.scheduling_gates):
        return msgspec.structs.replace(version, count=0)
    owner = owner_of(obj.metadata)
    return msgspec.structs.replace(version, owner=owner) if owner.startswith(UNKNOWN) else version


def _is_let_go(owners: Owners, uid: str, obj: KubeObject, old: KubeObject) -> bool:
    """Tell whether the controller that has a pod loses it; one that is not seen yet may."""
    same_owner = known_owner(obj.metadata)[0] == uid
    labels, before = obj.metadata.labels or {}, old.metadata.labels or {}
    if same_owner and labels == before:
        return False
    if not same_owner:
        return True
    selector = owners.selector_of(uid)
    if selector is None:
        return owners.only_promised(uid)
    return selector.selects(before) and not selector.selects(labels)


def covered(view: View, obj: KubeObject) -> Selector | None:
    """Return by what a new workload takes what is there without a controller; None if nothing is."""
    selector = selector_of(obj)
    return selector if view.book.matching.adoptable(selector) else None
