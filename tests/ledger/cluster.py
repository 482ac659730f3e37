"""A cluster as the protocol sees it: versioned objects, one ledger, and views that lag.

Everything has one resourceVersion counter, as in etcd. A Follower is one replica's watches: each
resource type is delivered on its own, as late as the test wants.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kube_headroom.capacity.headroom import Shortfall, shortfalls
from kube_headroom.capacity.ledger_document import Stored
from kube_headroom.capacity.promise import Promise
from kube_headroom.capacity.rows import known_owner, resource_version_of
from kube_headroom.capacity.rules import capacity_rules
from kube_headroom.capacity.view import RESOURCES, View
from kube_headroom.policy.model import Headroom
from kube_headroom.resources.objects import KubeObject
from kube_headroom.resources.workload import workload_of

KINDS = {"pods": "Pod", "deployments": "Deployment", "replicasets": "ReplicaSet"}
FOLLOWED = tuple(KINDS)
RULES = capacity_rules(Headroom.model_validate({"cpu": {"requests": "off"}, "pods": "off"}))
NAMESPACE = "shop"


def made(resource: str, uid: str, count: int, units: int = 1, owner: str = "") -> KubeObject:
    """Return an object that asks for so many pods of so many Mi."""
    amounts = {"memory": f"{units}Mi"}
    container = {"name": "web", "resources": {"requests": amounts, "limits": amounts}}
    pod = {"containers": [container]}
    spec: dict[str, Any] = {"replicas": count, "template": {"spec": pod}}
    metadata: dict[str, Any] = {"name": uid.partition(".")[0], "namespace": NAMESPACE, "uid": uid}
    if owner:
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": owner, "uid": owner}
        metadata["ownerReferences"] = [{**reference, "controller": True}]
    return msgspec.convert(
        {
            "apiVersion": "v1" if resource == "pods" else "apps/v1",
            "kind": KINDS[resource],
            "metadata": metadata,
            "spec": pod if resource == "pods" else spec,
        },
        KubeObject,
    )


def count_of(obj: KubeObject) -> int:
    """Return how many pods an object asks for."""
    return 1 if obj.kind == "Pod" else int(obj.spec.replicas or 0 if obj.spec else 0)


def units_of(obj: KubeObject) -> int:
    """Return how many Mi each of its pods asks for."""
    assert obj.spec is not None
    pod = obj.spec if obj.kind == "Pod" else obj.spec.template.spec  # type: ignore[union-attr]
    assert pod is not None
    text = str(pod.containers[0].resources.requests["memory"])  # type: ignore[index,union-attr]
    return int(text.removesuffix("Mi"))


class FakeCluster:
    """What the API server knows."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.now = 1000.0
        self.version = 10
        self.objects: dict[str, dict[str, KubeObject]] = {name: {} for name in FOLLOWED}
        self.log: dict[str, list[tuple[str, KubeObject]]] = {name: [] for name in FOLLOWED}
        self.ledger: Stored | None = None
        self._uids = 0

    def put(self, resource: str, obj: KubeObject) -> None:
        """Create or change an object."""
        obj = _as_of(obj, self._next_version())
        self.objects[resource][str(obj.metadata.uid)] = obj
        self.log[resource].append(("PUT", obj))

    def delete(self, resource: str, uid: str) -> None:
        """Delete an object."""
        obj = self.objects[resource].pop(uid)
        self.log[resource].append(("DELETED", _as_of(obj, self._next_version())))

    def version_of(self, resource: str, uid: str) -> int:
        """Return the version that an object is at; 0 when there is none."""
        obj = self.objects[resource].get(uid)
        return resource_version_of(obj.metadata) if obj is not None else 0

    @property
    def declared(self) -> int:
        """What all roots declare: each the larger of its own and its children's."""
        children: dict[str, int] = {}
        own: dict[str, int] = {}
        for resource, by_uid in self.objects.items():
            for uid, obj in by_uid.items():
                size, owner = count_of(obj) * units_of(obj), known_owner(obj.metadata)[0]
                if owner in self.objects["deployments"] and resource != "pods":
                    children[owner] = children.get(owner, 0) + size
                else:
                    own[uid] = size
        return sum(max(size, children.get(uid, 0)) for uid, size in own.items())

    # The ledger, by compare-and-swap.

    def create_ledger(self, text: str) -> None:
        """Make it anew, under a new uid."""
        self._uids += 1
        self.ledger = Stored(text, f"ledger-{self._uids}", self._next_version())

    def write_ledger(self, text: str, on: Stored) -> Stored | None:
        """Replace it, if it is still the one; None after a conflict."""
        there = self.ledger
        if there is None or (there.uid, there.version) != (on.uid, on.version):
            return None
        self.ledger = Stored(text, there.uid, self._next_version())
        return self.ledger

    def _next_version(self) -> int:
        self.version += 1
        return self.version


class Follower:
    """One replica's view, and how far it has followed each resource type."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.view = View()
        self.seen = dict.fromkeys(FOLLOWED, 0)
        for resource in RESOURCES:
            if resource not in FOLLOWED:
                self.view.begin_list(resource)
                if resource == "nodes":
                    self.view.put("nodes", _node(cluster.room))
                self.view.end_list(resource, "1", cluster.now)
        for resource in FOLLOWED:
            self.relist(resource)

    def deliver(self, resource: str, most: int = 1 << 30) -> None:
        """Show the next events of a type."""
        first = self.seen[resource]
        events = self.cluster.log[resource][first : first + most]
        for what, obj in events:
            if what == "PUT":
                self.view.put(resource, obj)
            else:
                self.view.remove(resource, obj)
        self.seen[resource] += len(events)
        if events:
            version = str(events[-1][1].metadata.resource_version)
            self.view.progress(resource, version, self.cluster.now)

    def relist(self, resource: str) -> None:
        """Show the type as it is now, by a consistent list."""
        self.view.begin_list(resource)
        for obj in self.cluster.objects[resource].values():
            self.view.put(resource, obj)
        self.view.end_list(resource, str(self.cluster.version), self.cluster.now)
        self.seen[resource] = len(self.cluster.log[resource])

    def bookmark(self, resource: str) -> None:
        """Show that there is nothing more to show, if that is so."""
        if self.seen[resource] == len(self.cluster.log[resource]):
            self.view.progress(resource, str(self.cluster.version), self.cluster.now)

    def promise(self, resource: str, obj: KubeObject, base: int) -> Promise:
        """Return the promise that a request with this object would be."""
        workload = workload_of(obj)
        assert workload is not None
        pod = self.view.completion.effective_template(workload.template, NAMESPACE)
        owner = known_owner(obj.metadata)[0]
        version = self.view.completion.version(workload, pod, owner)
        name = str(obj.metadata.name)
        return Promise(resource, str(obj.metadata.uid), base, NAMESPACE, name, version)

    def judge(self, promise: Promise) -> tuple[Shortfall, ...]:
        """Judge as the product does."""
        return shortfalls(self.view.book, promise, RULES)


def _as_of(obj: KubeObject, version: int) -> KubeObject:
    metadata = msgspec.structs.replace(obj.metadata, resource_version=str(version))
    return msgspec.structs.replace(obj, metadata=metadata)


def _node(room: int) -> KubeObject:
    status = {"allocatable": {"memory": f"{room}Mi", "cpu": "1000", "pods": "100000"}}
    metadata = {"name": "node", "resourceVersion": "1"}
    return msgspec.convert(
        {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": status}, KubeObject
    )
