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
    gated = obj.spec is not None and bool(obj.spec.scheduling_gates)
    if old is None and not obj.metadata.owner_references and not gated:
        return version
    owners = view.book.owners
    if is_made_elsewhere(view, known_owner(obj.metadata)[0]):
        return version
    if old is not None and _is_let_go(owners, obj, old):
        return _instead(view, version, old)
    if gated or known_owner(obj.metadata)[0]:
        return msgspec.structs.replace(version, count=0)
    owner = owner_of(obj.metadata)
    return msgspec.structs.replace(version, owner=owner) if owner.startswith(UNKNOWN) else version


def is_made_elsewhere(view: View, owner: str) -> bool:
    """Tell whether a Job's pods are made by a controller that we do not know."""
    workload = view.workload(owner)
    return workload is not None and workload.elsewhere


def _is_let_go(owners: Owners, obj: KubeObject, old: KubeObject) -> bool:
    """Tell whether a pod's controller loses it; one that is not seen yet may."""
    uid = known_owner(old.metadata)[0]
    if not uid or known_owner(obj.metadata)[0] != uid:
        return uid != ""
    labels, before = obj.metadata.labels or {}, old.metadata.labels or {}
    selector = owners.selector_of(uid)
    if labels == before or selector is None:
        return labels != before and not owners.shows(uid)
    return selector.selects(before) and not selector.selects(labels)


def _instead(view: View, version: Version, old: KubeObject) -> Version:
    """Return what is made instead of a pod that its controller loses."""
    uid, kind = known_owner(old.metadata)
    if kind == "DaemonSet":  # on the same node
        return version
    instead = view.book.owners.one_more(uid)
    if instead is None:  # nothing is known of it: the next pod is held by this one's promise
        return msgspec.structs.replace(version, owner=UNKNOWN + uid)
    if object_key("pods", old.metadata) in view.book.pods:
        return instead
    # Its own size is not in the book yet, and it may be of an earlier template.
    return msgspec.structs.replace(instead, unit=instead.unit.maximum(version.unit))


def covered(view: View, obj: KubeObject) -> Selector | None:
    """Return by what a new workload takes what is there without a controller; None if nothing is."""
    selector = selector_of(obj)
    return selector if view.book.matching.adoptable(selector) else None
