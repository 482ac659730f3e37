"""A world: what a view has been shown, kept raw beside it, so that others can recompute it.

Nothing is derived here but what no object says: when a deletion, a termination or an unschedulable
condition was first seen.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kube_headroom.capacity.asked import covered, pod_version
from kube_headroom.capacity.promise import Promise
from kube_headroom.capacity.rows import controller_of, known_owner, owner_of, resource_version_of
from kube_headroom.capacity.view import View
from kube_headroom.policy.model import Headroom
from kube_headroom.resources.objects import KubeObject
from kube_headroom.resources.selector import selector_of
from kube_headroom.resources.workload import workload_of
from tests.capacity.kept_seats import KeptSeats
from tests.capacity.manifests import PLURALS, manifest


class World:
    """A view, the objects it shows, and the clock."""

    def __init__(self, *, promise_seconds: float = 75.0) -> None:
        self.view = View(promise_seconds=promise_seconds)
        self.book, self.ledger = self.view.book, self.view.ledger
        self.now = 1000.0
        self.shown: dict[str, dict[str, KubeObject]] = {}
        self.deleted: dict[str, float] = {}
        """When the view saw the end of a workload of which something is left."""
        self.leaving: dict[str, float] = {}
        """Until when a pod that was seen to end within two minutes is leaving."""
        self.unschedulable: dict[str, float] = {}
        self.homes: dict[tuple[str, str, str], str] = {}
        """By name, the uid of who had it at the first of the creates that are open, or of that one."""
        self.takers: list[str] = []
        """Workloads that take what has no controller, in the order in which they came to be known."""
        self.kept = KeptSeats(self)
        self._version = 0
        self.view.tick(self.now)

    def next_version(self) -> int:
        """Return the next resourceVersion."""
        self._version += 1
        return self._version

    def put(self, short_kind: str, short: dict[str, Any]) -> None:
        """Show an object in its short form, newly created or changed."""
        self.show(decoded(short_kind, short, self.next_version()))

    def show(self, obj: KubeObject) -> None:
        """Show an object as it is."""
        resource, uid = PLURALS[obj.kind], str(obj.metadata.uid)
        if resource == "pods":
            self.kept.before(uid)
        self.shown.setdefault(resource, {})[uid] = obj
        if resource == "pods":
            self._note_pod(uid, obj)
        self.view.put(resource, obj)
        if resource == "pods":
            self.kept.after(uid, obj)
        self._forget_the_lonely()

    def delete(self, text: str) -> None:
        """Show that the object with this uid is gone."""
        resource = next(name for name, by_uid in self.shown.items() if text in by_uid)
        if resource == "pods":
            self.kept.before(text)
        obj = self.shown[resource].pop(text)
        obj.metadata.resource_version = str(self.next_version())
        self._note_gone(resource, text, obj)
        self.view.remove(resource, obj)
        self._forget_the_lonely()

    def relist(self, resource: str, objects: list[KubeObject]) -> None:
        """Show all objects of a resource at once: what is missing is gone."""
        self.view.begin_list(resource)
        gone = set(self.shown.get(resource, {})) - {obj.metadata.uid for obj in objects}
        for obj in objects:
            self.show(obj)
        for uid in gone:
            if resource == "pods":
                self.kept.before(uid)
            self._note_gone(resource, uid, self.shown[resource].pop(uid))
        self.view.end_list(resource, str(self.next_version()), self.now)
        self._forget_the_lonely()

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.view.tick(self.now)

    def promise(self, obj: KubeObject) -> Promise:
        """Return the promise that a request with this object would be."""
        workload = workload_of(obj)
        assert workload is not None
        pod = self.view.completion.effective_template(workload.template, workload.namespace)
        version = self.view.completion.version(workload, pod, owner_of(obj.metadata))
        known = self.shown.get(PLURALS[obj.kind], {}).get(str(obj.metadata.uid))
        if obj.kind == "Pod":
            bare = msgspec.structs.replace(version, owner="", count=1)
            version = pod_version(self.view, bare, obj, known)
        return Promise(
            resource=PLURALS[obj.kind],
            uid=str(obj.metadata.uid),
            base=resource_version_of(known.metadata) if known is not None else 0,
            namespace=obj.metadata.namespace or "",
            name="" if obj.metadata.generate_name else obj.metadata.name or "",
            version=version,
            covers=None if known is not None else covered(self.view, obj),
        )

    def allow(self, obj: KubeObject) -> Promise:
        """Promise a request without asking whether there is room."""
        promise = self.promise(obj)
        if promise.name_key is not None:
            self.homes.setdefault(promise.name_key, self._bearer(promise) or promise.uid)
        if promise.resource == "pods":
            self.kept.promised(promise)
        self.ledger.add(promise, self.now)
        self._note_takers()
        return promise

    def _bearer(self, promise: Promise) -> str:
        """Return the uid of the object that has the name already, if one is shown."""
        for uid, obj in self.shown.get(promise.resource, {}).items():
            metadata = obj.metadata
            made_up = metadata.generate_name or (obj.kind == "Pod" and known_owner(metadata)[0])
            own = (metadata.namespace or "", metadata.name)
            if own == (promise.namespace, promise.name) and not made_up:
                return uid
        return ""

    def expire(self) -> None:
        """Do what upkeep does: prove old promises failed, and drop them."""
        for resource in sorted(self.ledger.due(self.now)):
            self.ledger.prove(resource, self._version, self.now)
            self.ledger.expire(resource, self._version)
        self._forget_the_lonely()

    def _note_pod(self, uid: str, obj: KubeObject) -> None:
        if is_finished(obj):  # nothing is remembered of it, should it ever come back
            self.leaving.pop(uid, None)
            self.unschedulable.pop(uid, None)
            return
        grace = obj.metadata.deletion_grace_period_seconds or 0
        if obj.metadata.deletion_timestamp is None or grace > 120:
            self.leaving.pop(uid, None)
        else:
            self.leaving.setdefault(uid, self.now + grace + 30)
        conditions = (obj.status.conditions if obj.status else None) or ()
        gated = obj.spec is not None and bool(obj.spec.scheduling_gates)
        if not gated and any(each.reason == "Unschedulable" for each in conditions):
            self.unschedulable.setdefault(uid, self.now)
        else:
            self.unschedulable.pop(uid, None)

    def _note_gone(self, resource: str, uid: str, obj: KubeObject) -> None:
        if resource == "pods":
            self.kept.gone(uid)
        self.leaving.pop(uid, None)
        self.unschedulable.pop(uid, None)
        orphans = obj.metadata.deletion_timestamp and "orphan" in (obj.metadata.finalizers or ())
        if resource not in {"pods", "nodes"} and not orphans:
            self.deleted[uid] = self.now

    def _forget_the_lonely(self) -> None:
        """A deleted workload is remembered for as long as something of it is shown or promised."""
        self.kept.settle()
        names = {promise.name_key for promise in self.ledger}
        self.homes = {key: uid for key, uid in self.homes.items() if key in names}
        everything = [obj for by_uid in self.shown.values() for obj in by_uid.values()]
        owners = {
            owner.uid
            for obj in everything
            if (owner := controller_of(obj.metadata)) and not is_finished(obj)
        }
        promised = {self.home(promise) for promise in self.ledger}
        promised |= {promise.version.owner for promise in self.ledger}
        for uid in set(self.deleted) - owners - promised:
            del self.deleted[uid]
        self._note_takers()

    def _note_takers(self) -> None:
        """Workloads that take what has no controller, in the order in which they came to be known."""
        takers = [
            uid
            for plural in ("deployments", "replicasets", "statefulsets")
            for uid, obj in self.shown.get(plural, {}).items()
            if selector_of(obj) is not None
        ]
        shown = {uid for by_uid in self.shown.values() for uid in by_uid}
        takers += [
            home
            for promise in self.ledger
            if promise.covers is not None and (home := self.home(promise)) not in shown
        ]
        kept = [uid for uid in self.takers if uid in takers]
        self.takers = [*kept, *dict.fromkeys(uid for uid in takers if uid not in kept)]

    def home(self, promise: Promise) -> str:
        """Return the uid of the create that a promise retries, or its own."""
        key = promise.name_key
        return self.homes.get(key, promise.uid) if key is not None else promise.uid


def is_finished(obj: KubeObject) -> bool:
    """Tell whether an object is a pod that has run to its end."""
    return (
        obj.kind == "Pod" and obj.status is not None and obj.status.phase in {"Succeeded", "Failed"}
    )


def decoded(short_kind: str, short: dict[str, Any], version: int = 0) -> KubeObject:
    """Return the object of a short form."""
    body = manifest(short_kind, short)
    if version:
        body["metadata"]["resourceVersion"] = str(version)
    return msgspec.convert(body, KubeObject)


def headroom(**sections: Any) -> Headroom:
    """Return a headroom policy: memory requests, pod slots and fit are enforced by default."""
    return Headroom.model_validate(sections)
