"""A big cluster in a real API server: nodes, Deployments, ReplicaSets, and their pods.

One of each is created through the API server, as a controller and a kubelet would; the others are
copies of its JSON, put into etcd.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple
from uuid import UUID

import httpx2

from bench.api import Api, Json, api_server, pods
from bench.cluster import NAMESPACES, PODS_PER_DEPLOYMENT, namespace
from bench.etcd import Etcd, Stored
from tests.controlplane.nodes import NodeShape
from tests.controlplane.waiting import wait_until

_NODE: Final = NodeShape("15890m", "62Gi", 110, {"topology.kubernetes.io/zone": "zone-1"}, (), {})
ABREAST_SECONDS: Final = 600
_FIRST: Final = "first"
_SIZES: Final = 50
_OWNER: Final = "00000000-0000-0000-0000-00000000000a"
"""The uid of an owner in a first object, to be replaced in its copies."""


class Size(NamedTuple):
    """How large the cluster is to be."""

    nodes: int
    pods: int


class Big(NamedTuple):
    """The cluster, and a way into its store."""

    api: Api
    etcd: Etcd
    size: Size
    pod: Callable[[int, bytes], Stored]
    """A pod by number, with a word in an annotation."""


def size_of(*, quick: bool) -> Size:
    """Return the size that the design speaks of, or a small one."""
    return Size(100, 3_000) if quick else Size(5_000, 150_000)


@contextmanager
def big_cluster(size: Size) -> Iterator[Big]:
    """Start an API server and fill its store."""
    with api_server() as api:
        api.namespace(_FIRST)
        etcd, started = Etcd(api.cluster.stack.etcd_url), time.monotonic()
        with api.cluster.client() as http:
            first_pod = _first_pod(http)
            copies = Copies(size, first_pod)
            etcd.put_all(copies.nodes(_created(http, "/api/v1/nodes", _NODE.manifest(_FIRST))))
            for kind, owner in (("Deployment", ""), ("ReplicaSet", _OWNER)):
                etcd.put_all(copies.workloads(kind, _first_workload(http, kind, owner)))
        etcd.put_all(copies.pod(number) for number in range(size.pods))
        wait_until(lambda: _is_abreast(api), ABREAST_SECONDS, "the API server to have seen all")
        print(f"{size.pods:,} pods after {time.monotonic() - started:.0f} s", flush=True)
        yield Big(api, etcd, size, copies.pod)


def _is_abreast(api: Api) -> bool:
    """Tell whether a consistent list needs no waiting: the API server's cache is as far as etcd."""
    with api.cluster.client(timeout=90) as http:
        started = time.monotonic()
        answers = [http.get("/api/v1/pods?limit=1") for _ in range(3)]
        return all(each.is_success for each in answers) and time.monotonic() - started < 1.0


class Copies:
    """Objects like the first ones, under names and uids of their own."""

    def __init__(self, size: Size, first_pod: Json) -> None:
        self._size = size
        self._pod, self._pod_uid = _text(first_pod), first_pod["metadata"]["uid"].encode()

    def nodes(self, first: Json) -> Iterator[Stored]:
        """Yield the nodes."""
        text, old = _text(first), first["metadata"]["uid"].encode()
        for number in range(self._size.nodes):
            name = _node_name(number)
            own = text.replace(old, _uid(0, number)).replace(b'"first"', b'"%s"' % name.encode())
            yield Stored(f"/registry/minions/{name}", own)

    def workloads(self, kind: str, first: Json) -> Iterator[Stored]:
        """Yield the Deployments, or their ReplicaSets."""
        text, old = _text(first), first["metadata"]["uid"].encode()
        mine = {"Deployment": 1, "ReplicaSet": 2}[kind]
        for number in range(self._workload_count):
            where = namespace(number % NAMESPACES)
            own = _renamed(text, where, f"web-{number}").replace(old, _uid(mine, number))
            own = own.replace(_OWNER.encode(), _uid(1, number))
            yield Stored(f"/registry/{kind.lower()}s/{where}/web-{number}", own)

    def pod(self, number: int, word: bytes = b"9113") -> Stored:
        """Return a pod."""
        owner = number % self._workload_count
        where, name = namespace(owner % NAMESPACES), f"web-{owner}-7c9d8f6b5-{number:06d}"
        text = (
            _renamed(self._pod, where, name)
            .replace(self._pod_uid, _uid(3, number))
            .replace(_OWNER.encode(), _uid(2, owner))
            .replace(
                b'"nodeName":"first"',
                b'"nodeName":"%s"' % _node_name(number % self._size.nodes).encode(),
            )
            .replace(b'"memory":"256Mi"', b'"memory":"%dMi"' % (64 + owner % _SIZES * 8))
            .replace(b'"prometheus.io/port":"9113"', b'"prometheus.io/port":"%s"' % word)
        )
        return Stored(f"/registry/pods/{where}/{name}", text)

    @property
    def _workload_count(self) -> int:
        return max(1, self._size.pods // PODS_PER_DEPLOYMENT)


def _first_pod(http: httpx2.Client) -> Json:
    """Create a pod, and let it run as a kubelet would."""
    (body,) = pods(_FIRST, 1, _FIRST)
    body["metadata"]["ownerReferences"] = [_owner("ReplicaSet")]
    body["spec"]["nodeName"] = _FIRST
    path = f"/api/v1/namespaces/{_FIRST}/pods"
    made = _created(http, path, body)
    since = made["metadata"]["creationTimestamp"]
    names = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    made["status"] = {
        "phase": "Running",
        "conditions": [
            {"type": name, "status": "True", "lastTransitionTime": since} for name in names
        ],
        "hostIP": "192.0.2.1",
        "podIP": "192.0.2.2",
        "podIPs": [{"ip": "192.0.2.2"}],
        "startTime": since,
        "containerStatuses": [
            {
                "name": each["name"],
                "image": each["image"],
                "imageID": f"{each['image']}@sha256:{'0' * 64}",
                "containerID": f"containerd://{'0' * 64}",
                "ready": True,
                "started": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": since}},
                "lastState": {},
            }
            for each in made["spec"]["containers"]
        ],
    }
    answer = http.put(f"{path}/{_FIRST}/status", json=made)
    answer.raise_for_status()
    running: Json = answer.json()
    return running


def _first_workload(http: httpx2.Client, kind: str, owner: str) -> Json:
    (pod,) = pods(_FIRST, 1, _FIRST)
    template = {"metadata": {"labels": pod["metadata"]["labels"]}, "spec": pod["spec"]}
    selector = {"matchLabels": {"app.kubernetes.io/name": "web"}}
    spec = {"replicas": PODS_PER_DEPLOYMENT, "selector": selector, "template": template}
    metadata: Json = {"name": _FIRST, "namespace": _FIRST}
    if owner:
        metadata["ownerReferences"] = [_owner("Deployment")]
    body = {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}
    return _created(http, f"/apis/apps/v1/namespaces/{_FIRST}/{kind.lower()}s", body)


def _created(http: httpx2.Client, path: str, body: Json) -> Json:
    answer = http.post(path, json=body)
    answer.raise_for_status()
    made: Json = answer.json()
    return made


def _owner(kind: str) -> Json:
    version = "apps/v1"
    return {"apiVersion": version, "kind": kind, "name": "web", "uid": _OWNER, "controller": True}


def _text(made: Json) -> bytes:
    """Return an object as it is stored: its version is etcd's."""
    metadata = {
        name: value for name, value in made["metadata"].items() if name != "resourceVersion"
    }
    return json.dumps({**made, "metadata": metadata}, separators=(",", ":")).encode()


def _renamed(text: bytes, where: str, name: str) -> bytes:
    own = b'"name":"%s","namespace":"%s"' % (name.encode(), where.encode())
    return text.replace(b'"name":"first","namespace":"first"', own)


def _node_name(number: int) -> str:
    return f"node-{number:04d}"


def _uid(kind: int, number: int) -> bytes:
    return str(UUID(int=(kind + 1) << 96 | number + 1)).encode()
