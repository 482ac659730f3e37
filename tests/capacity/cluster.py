"""A simulated cluster: objects as they are, controllers that act on them, a view that lags behind.

As small as it can be and still race like the real one: memory only, counted in units of 1Mi.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from kube_headroom.capacity.promise import Promise
from kube_headroom.capacity.view import View
from kube_headroom.resources.workload import workload_of
from tests.capacity.manifests import PLURALS
from tests.capacity.world import decoded

NODES = {"a": 5, "b": 4}
LIMIT = sum(NODES.values())
MEBI = 2**20
TYPES = ("deployments", "replicasets", "statefulsets", "pods")
KIND_OF = {plural: kind.lower() for kind, plural in PLURALS.items() if plural in TYPES}
PLURAL_OF = {kind: plural for plural, kind in KIND_OF.items()}
CONTROL_STEPS_TO_REST = 60
Short = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """A create (base 0) or an update that the API server is about to write."""

    kind: str
    short: Short
    base: int
    since: float


class Cluster:
    """The objects by plural and name, each in its short form with its resourceVersion."""

    def __init__(self) -> None:
        self.view = View()
        self.now = 0.0
        self.version = 0
        self.objects: dict[str, dict[str, Short]] = {plural: {} for plural in TYPES}
        self.unseen: dict[str, list[tuple[str, Short]]] = {plural: [] for plural in TYPES}
        for name, size in NODES.items():
            self.view.put("nodes", decoded("node", {"name": name, "memory": f"{size}Mi"}))
        self.serial = 0

    # Requests.

    def request(self, kind: str, name: str, size: int, count: int) -> Request | None:
        """Return a create, or an update if there is such an object; pods are not updated."""
        known = self.objects[PLURAL_OF[kind]].get(name)
        short: Short = {"name": name, "memory": f"{size}Mi", "replicas": count}
        if known is not None:
            changed = {**known, **short}
            return None if kind == "pod" else Request(kind, changed, known["rv"], self.now)
        return Request(kind, short | {"uid": self._uid(kind, name)}, 0, self.now)

    def rebased(self, request: Request) -> Request | None:
        """Return an update that conflicted, as the API server tries it again: on the present one."""
        known = self.objects[PLURAL_OF[request.kind]].get(request.short["name"])
        if known is None or known["uid"] != request.short["uid"]:
            return None
        return replace(request, base=known["rv"])

    def promise(self, request: Request) -> Promise:
        """Return the promise that a request would be."""
        obj = decoded(request.kind, request.short)
        workload = workload_of(obj)
        assert workload is not None
        pod = self.view.completion.effective_template(workload.template, workload.namespace)
        owner = str(request.short.get("owner", "")) if request.kind == "replicaset" else ""
        version = self.view.completion.version(workload, pod, owner)
        uid, name = str(request.short["uid"]), str(request.short["name"])
        return Promise(PLURAL_OF[request.kind], uid, request.base, "shop", name, version)

    def declares_more(self, request: Request) -> bool:
        """Tell whether an object would declare more than the one that it replaces."""
        old = self.objects[PLURAL_OF[request.kind]].get(request.short["name"])
        if not request.base or old is None:
            return True
        new_size, old_size = _size(request.short), _size(old)
        return new_size > old_size or new_size * _count(request.short) > old_size * _count(old)

    def write(self, request: Request) -> bool:
        """Write a request; False if the object is no more what it was when it was judged."""
        if not self._can_be_written(request):
            return False
        self._put(PLURAL_OF[request.kind], request.short)
        return True

    def _can_be_written(self, request: Request) -> bool:
        known = self.objects[PLURAL_OF[request.kind]].get(request.short["name"])
        if known is None:
            return request.base == 0
        return (known["rv"], known["uid"]) == (request.base, request.short["uid"])

    def delete(self, kind: str, name: str) -> None:
        """Delete an object as kubectl does: the workload at once, a pod after its grace."""
        known = self.objects[PLURAL_OF[kind]].get(name)
        if known is None:
            return
        if kind == "pod":
            self._put("pods", known | {"grace": 30})
        else:
            self._remove(PLURAL_OF[kind], name)

    def declared(self, waiting: Sequence[Request] = ()) -> int:
        """What objects declare: template times desired, a bare pod its size once.

        With requests that may yet be written: the most that may come of it.
        """
        most: dict[tuple[str, str], int] = {}
        for plural in ("deployments", "statefulsets", "pods"):
            for name, each in self.objects[plural].items():
                if plural != "pods" or not {"owner", "grace"} & set(each):
                    most[plural, name] = _declares(plural, each)
        for request in waiting:
            plural, name = PLURAL_OF[request.kind], str(request.short["name"])
            if self._can_be_written(request):
                declares = _declares(plural, request.short)
                most[plural, name] = max(declares, most.get((plural, name), 0))
        return sum(most.values())

    # What the view sees.

    def deliver(self, resource: str, events: int) -> None:
        """Show the view the next events of a type, in their order."""
        for _ in range(min(events, len(self.unseen[resource]))):
            verb, short = self.unseen[resource].pop(0)
            obj = decoded(KIND_OF[resource], _shown(short), short["rv"])
            (self.view.put if verb == "put" else self.view.remove)(resource, obj)
            self.view.progress(resource, str(short["rv"]), self.now)

    def relist(self, resource: str) -> None:
        """Show the view all objects of a type as they are, instead of the events it has missed."""
        self.unseen[resource].clear()
        self.view.begin_list(resource)
        for short in self.objects[resource].values():
            self.view.put(resource, decoded(KIND_OF[resource], _shown(short), short["rv"]))
        self.view.end_list(resource, str(self.version), self.now)

    def wait(self, seconds: float) -> None:
        """Let time pass; upkeep proves old promises failed where the view has come that far."""
        self.now += seconds
        self.view.tick(self.now)
        for resource in sorted(self.view.ledger.due(self.now)):
            self.view.ledger.prove(resource, self.version, self.now)
        for resource in TYPES:
            if not self.unseen[resource]:  # a bookmark
                self.view.progress(resource, str(self.version), self.now)
            self.view.ledger.expire(resource, self.view.resource_versions[resource])

    def settle(self) -> None:
        """Let everything come to rest: controllers, watches, promises."""
        for _ in range(CONTROL_STEPS_TO_REST):
            self.control()
        for resource in TYPES:
            self.deliver(resource, len(self.unseen[resource]))
        for _ in range(2):
            self.wait(200)

    # What controllers do, one step at a time.

    def control(self) -> None:
        """Do the first thing that is to be done."""
        steps = (self._collect, self._end, self._follow, self._fill, self._renew, self._bind)
        any(step() for step in steps)

    def _collect(self) -> bool:
        """Garbage: what is left without its owner."""
        uids = {each["uid"] for plural in TYPES for each in self.objects[plural].values()}
        for plural in ("replicasets", "pods"):
            for name, each in self.objects[plural].items():
                if each.get("owner", each["uid"]) not in uids and "grace" not in each:
                    self.delete(KIND_OF[plural], name)
                    return True
        return False

    def _end(self) -> bool:
        """Terminated pods go, as their kubelet says so."""
        for name, each in self.objects["pods"].items():
            if "grace" in each:
                self._remove("pods", name)
                return True
        return False

    def _follow(self) -> bool:
        """Deployments make a ReplicaSet for their template, and empty the others."""
        for deployment in self.objects["deployments"].values():
            own = [
                each
                for each in self.objects["replicasets"].values()
                if each["owner"] == deployment["uid"]
            ]
            fresh = [each for each in own if each["memory"] == deployment["memory"]]
            wanted = fresh[0] if fresh else self._replica_set(deployment)
            for each in [*(one for one in own if one is not wanted), wanted]:
                count = deployment["replicas"] if each is wanted else 0
                if each.get("replicas") != count:
                    self._control_replica_set({**each, "replicas": count})
                    return True
        return False

    def _replica_set(self, deployment: Short) -> Short:
        name = self._serial("rs")
        uid = self._uid("replicaset", name)
        kept = {key: deployment[key] for key in ("memory",)}
        return {"name": name, "uid": uid, "owner": deployment["uid"], **kept}

    def _control_replica_set(self, short: Short) -> None:
        """Write a child workload: its review is recorded, never refused."""
        known = self.objects["replicasets"].get(short["name"])
        request = Request("replicaset", short, known["rv"] if known else 0, self.now)
        self.view.ledger.add(self.promise(request), self.now)
        self.write(request)

    def _fill(self) -> bool:
        """ReplicaSets and StatefulSets make the pods they lack and end those too many."""
        for plural in ("replicasets", "statefulsets"):
            for owner in self.objects[plural].values():
                pods = self._pods_of(owner)
                if len(pods) < owner["replicas"]:
                    name = self._serial("pod")
                    kept = {"uid": self._uid("pod", name), "owner": owner["uid"]}
                    self._put("pods", {"name": name, "memory": owner["memory"], **kept})
                    return True
                if len(pods) > owner["replicas"]:
                    self.delete("pod", pods[-1]["name"])
                    return True
        return False

    def _renew(self) -> bool:
        """StatefulSets replace pods of an earlier template, one at a time."""
        for owner in self.objects["statefulsets"].values():
            for pod in self._pods_of(owner):
                if pod["memory"] != owner["memory"]:
                    self.delete("pod", pod["name"])
                    return True
        return False

    def _bind(self) -> bool:
        """The scheduler puts a pod where it fits."""
        for pod in self.objects["pods"].values():
            if "node" in pod:
                continue
            for node, size in NODES.items():
                on_it = (each for each in self.objects["pods"].values() if each.get("node") == node)
                if sum(map(_size, on_it)) + _size(pod) <= size:
                    self._put("pods", pod | {"node": node})
                    return True
        return False

    def _pods_of(self, owner: Short) -> list[Short]:
        pods = self.objects["pods"].values()
        return [each for each in pods if each.get("owner") == owner["uid"] and "grace" not in each]

    # Writes.

    def _put(self, plural: str, short: Short) -> None:
        self.version += 1
        short = {**short, "rv": self.version}
        self.objects[plural][short["name"]] = short
        self.unseen[plural].append(("put", short))

    def _remove(self, plural: str, name: str) -> None:
        self.version += 1
        short = self.objects[plural].pop(name)
        self.unseen[plural].append(("remove", {**short, "rv": self.version}))

    def _uid(self, kind: str, name: str) -> str:
        return f"{kind}/{self._serial(name)}"

    def _serial(self, name: str) -> str:
        self.serial += 1
        return f"{name}.{self.serial}"


def _shown(short: Short) -> Short:
    return {key: value for key, value in short.items() if key != "rv"}


def _size(short: Short) -> int:
    return int(str(short["memory"]).removesuffix("Mi"))


def _declares(plural: str, short: Short) -> int:
    return _size(short) * (1 if plural == "pods" else _count(short))


def _count(short: Short) -> int:
    return int(short["replicas"])
