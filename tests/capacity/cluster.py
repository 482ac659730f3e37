"""A simulated cluster: objects as they are, controllers that act on them, a view that lags behind.

As small as it can be and still race like the real one: memory only, counted in units of 1Mi.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from kube_headroom.capacity.asked import covered, pod_version
from kube_headroom.capacity.promise import Promise
from kube_headroom.capacity.view import View
from kube_headroom.resources.objects import KubeObject
from kube_headroom.resources.workload import workload_of
from tests.capacity.manifests import PLURALS
from tests.capacity.world import decoded

NODES = {"a": 5, "b": 4}
LIMIT = sum(NODES.values())
MEBI = 2**20
TYPES = ("deployments", "replicasets", "statefulsets", "pods")
KIND_OF = {plural: kind.lower() for kind, plural in PLURALS.items() if plural in TYPES}
PLURAL_OF = {kind: plural for plural, kind in KIND_OF.items()}
SELECTS_BY = {"deployment": "app", "statefulset": "set"}
SICK = {"sick": "yes"}
"""The labels of a pod that is set aside: no controller selects it."""
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
        if kind != "pod":
            short["matches"] = {SELECTS_BY[kind]: name}
        if known is not None:
            changed = {**known, **short}
            return None if kind == "pod" else Request(kind, changed, known["rv"], self.now)
        return Request(kind, short | {"uid": self._uid(kind, name)}, 0, self.now)

    def relabelling(self, number: int) -> Request | None:
        """Return the update by which a controller is to lose one of its pods."""
        owned = [each for each in self.objects["pods"].values() if "owner" in each]
        owned = [each for each in owned if each["labels"] != SICK and "grace" not in each]
        if not owned:
            return None
        pod = owned[number % len(owned)]
        return Request("pod", {**pod, "labels": SICK}, pod["rv"], self.now)

    def rebased(self, request: Request) -> Request | None:
        """Return an update that conflicted, as the API server tries it again: on the present one."""
        known = self.objects[PLURAL_OF[request.kind]].get(request.short["name"])
        if known is None or known["uid"] != request.short["uid"]:
            return None
        return replace(request, base=known["rv"])

    def promise(self, request: Request) -> Promise:
        """Return the promise that a request would be."""
        obj = decoded(request.kind, _shown(request.short))
        workload = workload_of(obj)
        assert workload is not None
        pod = self.view.completion.effective_template(workload.template, workload.namespace)
        owner = str(request.short.get("owner", "")) if request.kind == "replicaset" else ""
        version = self.view.completion.version(workload, pod, owner)
        uid, name = str(request.short["uid"]), str(request.short["name"])
        if request.kind == "pod":
            version = pod_version(self.view, version, obj, self._old(request))
        covers = None if request.base else covered(self.view, obj)
        return Promise(PLURAL_OF[request.kind], uid, request.base, "shop", name, version, covers)

    def _old(self, request: Request) -> KubeObject | None:
        old = self.objects[PLURAL_OF[request.kind]].get(request.short["name"])
        return decoded(request.kind, _shown(old)) if request.base and old is not None else None

    def declares_more(self, request: Request) -> bool:
        """Tell whether an object would declare more than the one that it replaces."""
        old = self.objects[PLURAL_OF[request.kind]].get(request.short["name"])
        if not request.base or old is None or request.kind == "pod":
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

    def orphan(self, kind: str, name: str) -> None:
        """Delete an object as kubectl does with --cascade=orphan: the garbage collector frees first.

        Pods that the view has not seen when it sees the end are a hole that is known and accepted.
        """
        plural = PLURAL_OF[kind]
        known = self.objects[plural].get(name)
        if known is None or self.unseen["pods"]:
            return
        self._put(plural, {**known, "grace": 0, "metadata": {"finalizers": ["orphan"]}})
        for each in ("replicasets", "pods"):
            for dependent in tuple(self.objects[each].values()):
                if dependent.get("owner") == known["uid"]:
                    self._put(each, _without(dependent, "owner"))
        self._remove(plural, name)

    def declared(self, waiting: Sequence[Request] = ()) -> int:
        """What objects declare: template times desired, a bare pod its size once.

        What is orphaned counts until a workload takes it. With requests that may yet be written: the
        most that may come of it.
        """
        most: dict[tuple[str, str], int] = {}
        for plural in TYPES:
            for name, each in self.objects[plural].items():
                if "grace" not in each and not self._is_kept(plural, each):
                    most[plural, name] = _declares(plural, each)
        orphans = {key for key in most if key[0] == "replicasets" or "labels" in self._at(key)}
        for request in waiting:
            plural, name = PLURAL_OF[request.kind], str(request.short["name"])
            if self._can_be_written(request):
                taken = {key for key in orphans if _takes(plural, request.short, *self._of(key))}
                orphans -= taken
                left = sum(most.pop(key) for key in taken)
                declares = _declares(plural, request.short)
                most[plural, name] = max(declares, left, most.get((plural, name), 0))
        return sum(most.values())

    def _is_kept(self, plural: str, each: Short) -> bool:
        """Tell whether a controller keeps, or is to collect or to take, a pod or ReplicaSet."""
        if plural not in {"replicasets", "pods"}:
            return False
        if "owner" not in each:
            return self._taker(plural, each) is not None
        return plural == "replicasets" or each["labels"] != SICK

    def _taker(self, plural: str, each: Short) -> Short | None:
        for by in TYPES:
            for workload in self.objects[by].values():
                if _takes(by, workload, plural, each):
                    return workload
        return None

    def _of(self, key: tuple[str, str]) -> tuple[str, Short]:
        return key[0], self._at(key)

    def _at(self, key: tuple[str, str]) -> Short:
        return self.objects[key[0]][key[1]]

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
        claims = (self._collect, self._end, self._release, self._adopt)
        steps = (*claims, self._follow, self._fill, self._renew, self._bind)
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

    def _release(self) -> bool:
        """Controllers let go of pods that they do not select any more."""
        for pod in self.objects["pods"].values():
            if "owner" in pod and pod["labels"] == SICK and "grace" not in pod:
                self._put("pods", _without(pod, "owner"))
                return True
        return False

    def _adopt(self) -> bool:
        """Controllers take what they select and nobody controls."""
        for plural in ("replicasets", "pods"):
            for each in self.objects[plural].values():
                if "owner" not in each and "grace" not in each:
                    taker = self._taker(plural, each)
                    if taker is not None:
                        self._put(plural, {**each, "owner": taker["uid"]})
                        return True
        return False

    def _follow(self) -> bool:
        """Deployments make a ReplicaSet for their template, and empty the others."""
        for deployment in self.objects["deployments"].values():
            own = [
                each
                for each in self.objects["replicasets"].values()
                if each.get("owner") == deployment["uid"]
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
        kept = {"memory": deployment["memory"], "owner": deployment["uid"]}
        labels = {"matches": {"set": name}, "labels": deployment["matches"]}
        return {"name": name, "uid": uid, **kept, **labels}

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
                    uid = self._uid("pod", owner["name"])
                    name = f"{owner['name']}-{self.serial}"
                    kept = {"uid": uid, "owner": owner["uid"], "labels": owner["matches"]}
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
        own = (each for each in pods if each.get("owner") == owner["uid"] and "grace" not in each)
        return [each for each in own if each["labels"] != SICK]

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


def _without(short: Short, key: str) -> Short:
    return {each: value for each, value in short.items() if each != key}


def _takes(by: str, workload: Short, plural: str, each: Short) -> bool:
    """Tell whether a workload takes a ReplicaSet or pod that nobody controls."""
    if (by == "deployments") != (plural == "replicasets") or by == "pods":
        return False
    return bool(workload["matches"] == each.get("labels"))


def _size(short: Short) -> int:
    return int(str(short["memory"]).removesuffix("Mi"))


def _declares(plural: str, short: Short) -> int:
    return _size(short) * (1 if plural == "pods" else _count(short))


def _count(short: Short) -> int:
    return int(short["replicas"])
