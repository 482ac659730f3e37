"""The view: one replica's picture of the cluster, turned from objects into rows of the book.

Whoever watches the cluster calls begin_list, put, remove, end_list and progress; nothing here waits
or reads a clock. A resource is named by its plural. Objects are not kept: rows are, and the
templates of workloads, since a LimitRange or PriorityClass may change what those come to.
"""

from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from kube_headroom.capacity.book import Book
from kube_headroom.capacity.completion import Completion
from kube_headroom.capacity.ledger import Ledger
from kube_headroom.capacity.namespace_limits import LIMITING, NamespaceLimits
from kube_headroom.capacity.pods import NEVER
from kube_headroom.capacity.promise import Promise
from kube_headroom.capacity.roots import Shown
from kube_headroom.capacity.rows import (
    known_owner,
    node_facts,
    owner_of,
    pod_row,
    resource_version_of,
    shown_of,
    version_number,
)
from kube_headroom.resources.objects import KubeObject, ObjectMeta
from kube_headroom.resources.workload import Workload, workload_of

WORKLOADS: Final = (
    *("deployments", "replicasets", "statefulsets", "daemonsets"),
    *("jobs", "cronjobs", "replicationcontrollers"),
)
COMPLETING: Final = ("namespaces", "limitranges", "runtimeclasses", "priorityclasses")
ADVISORY: Final = ("resourcequotas",)
"""What only warnings are made of: no verdict waits for it."""
RESOURCES: Final = (*COMPLETING, *ADVISORY, "nodes", "pods", *WORKLOADS)
"""All that a full view holds."""
POLICY: Final = "policy"
"""What the policy in force is called among the versions."""


class _Kept(msgspec.Struct, frozen=True, gc=False):
    """What is kept of a workload: more than its row, since templates may come to something else."""

    workload: Workload
    owner: str
    shown: Shown

    @classmethod
    def of(cls, resource: str, obj: KubeObject, workload: Workload) -> "_Kept":
        """Return what is kept of an object."""
        return cls(workload, owner_of(obj.metadata), shown_of(resource, obj, workload))


class View:
    """A picture of the cluster; not synced until every resource was listed once."""

    def __init__(
        self,
        *,
        promise_seconds: float = 75.0,
        stale_seconds: float = 100.0,
        resources: Collection[str] = RESOURCES,
    ) -> None:
        self.book = Book()
        self.ledger = Ledger(self.book, promise_seconds=promise_seconds)
        self.completion = Completion()
        self.namespace_limits = NamespaceLimits()
        self.pending_hold_seconds = 600.0
        self.resource_versions: dict[str, int] = dict.fromkeys(resources, 0)
        """By resource, that of the last event, bookmark or completed list."""
        self.event_versions: dict[str, int] = dict.fromkeys(resources, 0)
        """By resource, that of the last object itself: what others can be sure to reach (L6)."""
        self._stale_seconds = stale_seconds
        self._last_progress: dict[str, float] = dict.fromkeys(resources, -NEVER)
        self._fresh_until = -NEVER
        self._now = 0.0
        self._known: dict[str, dict[str, int]] = {resource: {} for resource in resources}
        self._shown: dict[str, set[str]] = {}
        self._workloads: dict[str, _Kept] = {}

    # Freshness.

    @property
    def synced(self) -> bool:
        """Whether every resource was listed once."""
        return all(map(self.listed, self._last_progress))

    def listed(self, resource: str) -> bool:
        """Tell whether a resource was listed once."""
        return self._last_progress[resource] > -NEVER

    def stale(self, now: float) -> tuple[str, ...]:
        """Return the resources that were never listed or show no sign of life any more."""
        if now <= self._fresh_until:  # so it was at the last look, and later signs only add to it
            return ()
        limit, seen = now - self._stale_seconds, self._last_progress.items()
        self._fresh_until = min(self._last_progress.values()) + self._stale_seconds
        return tuple(name for name, last in seen if last < limit and name not in ADVISORY)

    def ages(self, now: float) -> dict[str, float]:
        """Return the seconds since each resource's last sign of life, infinite before the first."""
        return {name: now - seen for name, seen in self._last_progress.items()}

    def tick(self, now: float) -> None:
        """Let time pass, and take over what changed under the templates."""
        self._now = max(self._now, now)
        self.book.tick(now)
        changed = self.completion.changed()
        if changed:
            for uid, kept in self._workloads.items():
                if None in changed or kept.workload.namespace in changed:
                    self._file(uid, kept)

    # What the feed calls.

    def begin_list(self, resource: str) -> None:
        """Start a list: what it does not show by its end is gone."""
        self._shown[resource] = set()

    def put(self, resource: str, obj: KubeObject) -> None:
        """Take over an object as it is."""
        identity = _identity(resource, obj)
        version = self._note_version(resource, obj)
        self._known[resource][identity] = version
        if resource in self._shown:
            self._shown[resource].add(identity)
        if resource == "pods":
            self._name_pod(identity, obj.metadata)
            row = pod_row(obj, identity, self._now, self.pending_hold_seconds)
            if row is None:
                self.book.remove_pod(identity, finished=True)
            else:
                self.book.put_pod(row, self._now)
        elif resource == "nodes":
            facts, allocatable, ready = node_facts(obj)
            if self.book.nodes.put(facts, allocatable, ready=ready):
                self.book.node_changed(facts.name, self._now)
        elif resource in WORKLOADS:
            self.book.names.show(resource, obj.metadata, identity)
            workload = workload_of(obj)
            if workload is not None:
                self._file(identity, _Kept.of(resource, obj, workload))
        elif resource not in ADVISORY:
            self.completion.put(resource, obj)
        if resource in LIMITING:
            self.namespace_limits.put(resource, obj)
        self.ledger.saw(identity, version)

    def remove(self, resource: str, obj: KubeObject) -> None:
        """Forget an object that was deleted."""
        identity = _identity(resource, obj)
        self._forget(resource, identity)
        self.ledger.saw(identity, self._note_version(resource, obj))

    def end_list(self, resource: str, resource_version: str, now: float) -> None:
        """Complete a list."""
        shown = self._shown.pop(resource, set())
        for identity in self._known[resource].keys() - shown:
            self._forget(resource, identity)
            self.ledger.saw(identity, version_number(resource_version))
        self.progress(resource, resource_version, now)

    def progress(self, resource: str, resource_version: str, now: float) -> None:
        """Note a sign of life: an event, a bookmark, a completed list."""
        self._now = max(self._now, now)
        self._last_progress[resource] = now
        seen = version_number(resource_version)
        self.resource_versions[resource] = max(self.resource_versions[resource], seen)

    def note_policy(self, resource_version: str) -> None:
        """Note which version of the policy's object was taken over (ledger-protocol L6)."""
        seen = version_number(resource_version)
        self.resource_versions[POLICY] = self.event_versions[POLICY] = seen

    # Questions.

    def workload(self, uid: str) -> Workload | None:
        """Return a workload as the view shows it."""
        known = self._workloads.get(uid)
        return known.workload if known is not None else None

    # What the ledger asks.

    def shows(self, promise: Promise) -> bool:
        """Tell whether what a promise announced is in the view, or is in the past of it (L5)."""
        shown = self._known[promise.resource].get(promise.uid)
        if shown is not None:
            return not promise.base or shown > promise.base
        return 0 < promise.base <= self.resource_versions[promise.resource]

    def behind(self, watermarks: Mapping[str, int]) -> tuple[str, ...]:
        """Return the resources in which this view is not as far as these resourceVersions."""
        seen = self.resource_versions
        return tuple(name for name, least in watermarks.items() if seen.get(name, least) < least)

    def _note_version(self, resource: str, obj: KubeObject) -> int:
        version = resource_version_of(obj.metadata)
        if resource in ADVISORY:
            return version
        self.event_versions[resource] = max(self.event_versions[resource], version)
        return version

    def _name_pod(self, uid: str, metadata: ObjectMeta) -> None:
        """Note the pod's name, unless a controller made it: those are many, and nobody retries them."""
        if known_owner(metadata)[0]:
            self.book.names.forget(uid)
        else:
            self.book.names.show("pods", metadata, uid)

    def _forget(self, resource: str, identity: str) -> None:
        self._known[resource].pop(identity, None)
        self.book.names.forget(identity)
        if resource == "pods":
            self.book.remove_pod(identity)
        elif resource == "nodes":
            self.book.nodes.remove(identity)
            self.book.node_changed(identity, self._now)
        elif resource in WORKLOADS:
            self._workloads.pop(identity, None)
            self.book.remove_workload(identity, self._now)
        else:
            namespace, _, name = identity.rpartition("/")
            if resource not in ADVISORY:
                self.completion.remove(resource, namespace, name)
            if resource in LIMITING:
                self.namespace_limits.remove(resource, namespace, name)

    def _file(self, uid: str, kept: "_Kept") -> None:
        self._workloads[uid] = kept
        workload = kept.workload
        pod = self.completion.effective_template(workload.template, workload.namespace)
        version = self.completion.version(workload, pod, kept.owner)
        self.book.put_workload(uid, version, self._now, kept.shown)


def object_key(kind_or_resource: str, metadata: ObjectMeta) -> str:
    """Return what an object is filed under: its uid; files written by hand may have none."""
    return metadata.uid or f"{kind_or_resource}/{metadata.namespace or ''}/{metadata.name or ''}"


def _identity(resource: str, obj: KubeObject) -> str:
    metadata = obj.metadata
    if resource == "nodes":
        return metadata.name or ""
    if resource in COMPLETING or resource in ADVISORY:
        return f"{metadata.namespace or ''}/{metadata.name or ''}"
    return object_key(resource, metadata)
