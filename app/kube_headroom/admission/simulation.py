"""Simulation: what a manifest would meet, were it applied now, on a view that stands still.

Whatever the API server does before it asks the webhook is done here; then the decision is the
webhook's own, from review bytes on, so that the two cannot drift apart.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from kube_headroom.admission.decision import Decision
from kube_headroom.admission.ours import KINDS, Identity
from kube_headroom.admission.promiser import LocalPromiser
from kube_headroom.admission.review import API_VERSION, GroupKind, Request, read_review
from kube_headroom.admission.reviewer import Reviewer
from kube_headroom.admission.subject import Subject, subject_of
from kube_headroom.capacity.completion import UNCOUNTED_KINDS
from kube_headroom.capacity.promise import Promise
from kube_headroom.capacity.rules import Rules, capacity_rules
from kube_headroom.capacity.simulation import Fits, fits, most_pods, on_nodes
from kube_headroom.capacity.view import View
from kube_headroom.policy.model import Policy
from kube_headroom.resources.amounts import Amounts
from kube_headroom.resources.objects import KubeObject, PodSpec, Spec
from kube_headroom.resources.placement import daemon_placement, placement_of
from kube_headroom.resources.pod import effective_pod
from kube_headroom.resources.workload import GROUPS, Workload, workload_of

_RESOURCES: Final = {(kind, group): resource for (group, resource), kind in KINDS.items()}
_NOBODY: Final = Identity(namespace="kube-headroom", policy_configmap="kube-headroom-policy")


class Simulated(msgspec.Struct, frozen=True):
    """What came of one manifest."""

    decision: Decision
    fits: Fits
    max_replicas: int
    """How many more pods for a pod, how many replicas in all for a workload."""


class _Case(msgspec.Struct, frozen=True):
    """One manifest as the webhook would be asked about it."""

    request: Request
    workload: Workload
    subject: Subject
    spec: PodSpec
    """Of one of its pods, as created."""


class Simulator:
    """Simulates one manifest after the other, each as if it were the only one."""

    def __init__(self, policy: Policy) -> None:
        self.view = View(stale_seconds=float("inf"))
        """To be filled before the first simulation."""
        clock = float  # it stands still at 0.0
        promiser = LocalPromiser(self.view.ledger, clock)
        self._reviewer = Reviewer(_NOBODY, self.view, promiser, _Unheard(), clock=clock)
        self._reviewer.policy = policy
        self._rules: Rules = capacity_rules(policy.headroom)
        self._present: dict[tuple[str, str, str], KubeObject] = {}
        self._used: dict[str, Amounts] | None = None

    def present(self, objects: Iterable[KubeObject]) -> None:
        """Note the objects that are there: a manifest of the same name would be an update."""
        self._present = {_key(obj): obj for obj in objects if obj.kind in GROUPS}

    async def simulate(self, obj: KubeObject) -> Simulated:
        """Return what the manifest of a pod or workload would meet.

        Raises MalformedReview for what no API server would ever send on.
        """
        self.view.tick(0.0)
        case = self._case(obj)
        decision = await self._reviewer.decide(case.request)
        found = self._fits(case)
        return Simulated(decision, found, self._max_replicas(case, found))

    def _case(self, obj: KubeObject) -> _Case:
        old = self._present.get(_key(obj))
        obj = _created(obj) if old is None else _updated(obj, old)
        workload = workload_of(obj)
        assert workload is not None
        spec = self.view.completion.created_spec(workload.template, workload.namespace)
        if obj.kind == "Pod":
            assert isinstance(spec, Spec)
            obj = msgspec.structs.replace(obj, spec=spec)
        request = _request(obj, old)
        subject = subject_of(request, self.view)
        assert subject is not None
        return _Case(request, workload, subject, spec)

    def _fits(self, case: _Case) -> Fits:
        book, spec = self.view.book, case.spec
        if case.workload.kind == "Pod" and case.request.operation == "UPDATE":
            used = on_nodes(book, apart=case.subject.promise.uid)
        else:
            used = self._used = self._used or on_nodes(book)
        daemon = case.workload.kind == "DaemonSet"
        placement = daemon_placement(spec) if daemon else placement_of(spec)
        return fits(book, placement, effective_pod(spec).requests, used)

    def _max_replicas(self, case: _Case, found: Fits) -> int:
        kind, promise = case.workload.kind, case.subject.promise
        if kind == "DaemonSet":  # one for each node: those that could take one, and those that have
            pods = self.view.book.pods.values()
            return len({row.node for row in pods if row.owner == promise.uid}.union(found.nodes))
        if kind == "Pod" or kind in UNCOUNTED_KINDS:
            promise = _many_of(promise)
        return most_pods(self.view.book, promise, self._rules)


def is_simulated(obj: KubeObject) -> bool:
    """Tell whether an object is a pod or a workload, of the version that is judged."""
    return (obj.kind, obj.api_version.rpartition("/")[0]) in _RESOURCES


class _Unheard:
    """Nobody counts what was only simulated."""

    def decided(self, decision: Decision, seconds: float) -> None:
        """Forget it."""


def _key(obj: KubeObject) -> tuple[str, str, str]:
    return obj.kind, obj.metadata.namespace or "", obj.metadata.name or ""


def _created(obj: KubeObject) -> KubeObject:
    """Return an object that is to be new: what a server once said about another is dropped."""
    metadata = msgspec.structs.replace(
        obj.metadata, uid=None, resource_version=None, deletion_timestamp=None
    )
    return msgspec.structs.replace(obj, metadata=metadata, status=None)


def _updated(obj: KubeObject, old: KubeObject) -> KubeObject:
    """Return an object as it would be after `kubectl apply`: what the manifest leaves out stays."""
    was, spec, old_spec = old.metadata, obj.spec or Spec(), old.spec or Spec()
    metadata = msgspec.structs.replace(
        obj.metadata,
        uid=was.uid,
        resource_version=was.resource_version,
        owner_references=obj.metadata.owner_references or was.owner_references,
        deletion_timestamp=was.deletion_timestamp,
    )
    kept = ("replicas", "parallelism", "node_name", "priority")
    left_out = {name: getattr(old_spec, name) for name in kept if getattr(spec, name) is None}
    spec = msgspec.structs.replace(spec, **left_out)
    return msgspec.structs.replace(obj, metadata=metadata, spec=spec, status=old.status)


def _request(obj: KubeObject, old: KubeObject | None) -> Request:
    """Return the request as the webhook reads it, in a dry run."""
    group = obj.api_version.rpartition("/")[0]
    request = Request(
        uid="simulation",
        operation="CREATE" if old is None else "UPDATE",
        kind=GroupKind(group=group, kind=obj.kind),
        resource=GroupKind(group=group, resource=_RESOURCES[obj.kind, group]),
        name=obj.metadata.name,
        namespace=obj.metadata.namespace,
        object=obj,
        old_object=old,
        dry_run=True,
    )
    review = {"apiVersion": API_VERSION, "kind": "AdmissionReview", "request": request}
    return read_review(msgspec.json.encode(review))


def _many_of(promise: Promise) -> Promise:
    """Return the promise of a workload of such pods that nobody has."""
    version = msgspec.structs.replace(promise.version, count=1, owner="")
    return Promise("deployments", f"many of {promise.uid}", 0, promise.namespace, "", version)
