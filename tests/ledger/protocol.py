"""The protocol, step by step: replicas that judge and write, requests that land or fail.

What the committer does around its awaits is here one call each, so that a test decides what comes
between. `Naive` switches single rules off: what they are for is shown by what then goes wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

import msgspec

from kube_headroom.capacity.headroom import Shortfall
from kube_headroom.capacity.ledger_document import Document, Stored, encode
from kube_headroom.capacity.ledger_replica import LedgerReplica
from kube_headroom.capacity.promise import Promise
from kube_headroom.resources.objects import KubeObject
from tests.ledger.asking import PROMISE_SECONDS, REQUEST_SECONDS, Answer, Fault, Naive, Request
from tests.ledger.cluster import FOLLOWED, FakeCluster, Follower, count_of, made, units_of


class Replica:
    """One process: it can be restarted, and then knows nothing but what it lists and reads."""

    def __init__(self, cluster: FakeCluster, naive: Naive = Naive()) -> None:  # noqa: B008 - frozen
        self.cluster, self.naive = cluster, naive
        self.ids = count(1)
        self.restart()

    def restart(self) -> None:
        self.follower = Follower(self.cluster)
        self.view = self.follower.view
        self.ledger = self.view.ledger
        self.state = LedgerReplica(self.view)
        self.heard: Stored | None = None
        self.in_doubt = True

    # The ledger.

    def hear(self) -> None:
        """The watch on the ledger shows its newest state."""
        self.heard = self.cluster.ledger

    def take_over(self) -> None:
        """Read what stands there if need be, else go on with what was last heard of."""
        known = self.state.stored
        if self.in_doubt or known is None:
            if self.cluster.ledger is None:
                lost = known is not None and not self.naive.forgets_losses
                self.cluster.create_ledger(encode(Document(gap=self._id() if lost else "")).text)
            newest = self.cluster.ledger
        else:
            newest = self.heard
            if newest is None or newest.version <= known.version:
                return
        assert newest is not None
        if self.naive.forgets_losses and known is not None:
            self.state.stored = newest  # as if it had been this one all along
        self.state.take_over(newest, self.cluster.now)
        self.in_doubt = False

    def ask(self, request: Request, fault: Fault = "") -> Answer:
        """Let the request be judged and promised here."""
        self.take_over()
        if self.state.is_closed or (self.state.behind() and not self.naive.no_watermarks):
            return "unavailable"
        naive = self.naive.no_child_rows or self.naive.blind_to_children
        if request.controller and naive:
            return "allowed"
        promise = self._promise(request)
        if not self._covers(promise):
            is_judged = not self.ledger.promised(promise) and not request.controller
            if is_judged and self._judge(promise):
                return "refused"
            self.state.grant(promise, self.cluster.now)
        if not self.state.has_news:
            return "allowed"
        return self.write(fault)

    def write(self, fault: Fault = "") -> Answer:
        """Write a draft; what fails is found out as the committer finds it out."""
        document = self.state.draft(self._id())
        text, stored = encode(document).text, self.state.stored
        assert stored is not None
        if fault == "crash before":
            self.restart()
            return "nothing"
        if fault == "conflict" and self.cluster.ledger is not None:
            self.cluster.write_ledger(self.cluster.ledger.text, self.cluster.ledger)
        written = None if fault == "lost question" else self.cluster.write_ledger(text, stored)
        if fault == "crash after":
            self.restart()
            return "nothing"
        if fault == "lost answer":
            newest = self.cluster.ledger
            written = newest if newest is not None and newest.text == text else None
        if written is None:
            for promise in self.state.granted:
                self.state.withdraw(promise)
            self.in_doubt = True
            return "unavailable"
        self.state.written(document, written)
        return "allowed"

    def sweep(self) -> None:
        """Write what is over out of the ledger."""
        self.take_over()
        self.state.settle()
        if self.state.is_droppable or self.state.has_news:
            self.write()

    # Time.

    def question(self) -> None:
        """Ask what would prove that old promises failed, and take the proof where there is some."""
        now, cluster = self.cluster.now, self.cluster
        if self.naive.timed_expiry:
            due = self.ledger.due(now)
            for promise in [each for each in self.ledger if each.resource in due]:
                self.ledger.drop(promise)
            return
        for resource in self.ledger.due(now):
            self.ledger.prove(resource, cluster.version, now)
        for resource in FOLLOWED:
            self.ledger.expire(resource, self.view.resource_versions[resource])

    def question_all(self) -> None:
        """The same, also for the types that nothing of these tests is of."""
        self.question()
        for resource in self.ledger.due(self.cluster.now) | set(self.view.resource_versions):
            if resource not in FOLLOWED:
                self.view.progress(resource, str(self.cluster.version), self.cluster.now)
                self.ledger.expire(resource, self.cluster.version)

    # Naive readings.

    def _covers(self, promise: Promise) -> bool:
        if self.naive.never_renews:
            return self.ledger.promised(promise)
        return self.state.covers(promise, self.cluster.now)

    def _promise(self, request: Request) -> Promise:
        promise = self.follower.promise(request.resource, request.obj, request.base)
        if not self.naive.merged_bases:
            return promise
        open_ones = [each for each in self.ledger if each.uid == promise.uid]
        for each in open_ones:
            self.ledger.drop(each)
        base = min([promise.base, *(each.base for each in open_ones)])
        return msgspec.structs.replace(promise, base=base)

    def _judge(self, promise: Promise) -> tuple[Shortfall, ...]:
        if self.naive.gone_settles:
            for each in tuple(self.ledger):
                seen = self.view.resource_versions[each.resource]
                gone = not each.base and each.uid not in self.view._known[each.resource]
                if gone and seen > self._promised_at(each):
                    self.ledger.drop(each)
        return self.follower.judge(promise)

    def _promised_at(self, promise: Promise) -> int:
        assert self.state.stored is not None
        return self.state.stored.version

    def _id(self) -> str:
        return f"{id(self)}-{next(self.ids)}"


@dataclass
class Play:
    """A cluster, its replicas, and the requests that are on their way."""

    room: int
    replica_count: int = 2
    naive: Naive = field(default_factory=Naive)

    def __post_init__(self) -> None:
        self.cluster = FakeCluster(self.room)
        self.replicas = [Replica(self.cluster, self.naive) for _ in range(self.replica_count)]
        for replica in self.replicas:
            replica.take_over()
        self.requests: list[Request] = []
        self.updates: list[Request] = []
        """All that ever began."""
        self._numbers = count(1)

    def create(
        self, resource: str, uid: str, pods: int = 1, units: int = 1, *, owner: str = ""
    ) -> Request:
        """Begin to create an object."""
        return self._begin(resource, made(resource, uid, pods, units, owner), 0, owner != "")

    def update(self, resource: str, uid: str, pods: int, units: int | None = None) -> Request:
        """Begin to change an object that is there."""
        there = self.cluster.objects[resource][uid]
        owners = there.metadata.owner_references or ()
        owner = owners[0].uid if owners else ""
        obj = made(resource, uid, pods, units or units_of(there), owner)
        base = self.cluster.version_of(resource, uid)
        request = self._begin(resource, obj, base, owner != "")
        self.updates.append(request)
        return request

    def repeat(self, request: Request) -> Request:
        """Begin another request for what one has asked for before."""
        return self._begin(request.resource, request.obj, request.base, request.controller)

    def _begin(self, resource: str, obj: KubeObject, base: int, controller: bool) -> Request:
        request = Request(resource, obj, base, self.cluster.now, controller)
        self.requests.append(request)
        return request

    def declares_more(self, request: Request) -> bool:
        """Tell whether the request is charged at all."""
        if not request.base:
            return count_of(request.obj) > 0
        old = self.cluster.objects[request.resource].get(request.uid)
        if old is None:
            return False
        larger = units_of(request.obj) > units_of(old)
        new_size = count_of(request.obj) * units_of(request.obj)
        return larger or new_size > count_of(old) * units_of(old)

    def ask(self, request: Request, replica: int, fault: Fault = "") -> Answer:
        """Let a replica answer the API server."""
        if not self.declares_more(request):
            request.allowed = True
            return "allowed"
        answer = self.replicas[replica].ask(request, fault)
        request.allowed = answer == "allowed"
        if answer == "refused":
            self.requests.remove(request)
        return answer

    def land(self, request: Request) -> bool:
        """Let the API server write what was allowed; False if another write came before."""
        assert request.allowed
        if request.base and self.cluster.version_of(request.resource, request.uid) != request.base:
            request.base = self.cluster.version_of(request.resource, request.uid)
            request.allowed = False
            if not request.base:
                self.requests.remove(request)
            return False
        self.cluster.put(request.resource, request.obj)
        self.requests.remove(request)
        return True

    def fail(self, request: Request) -> None:
        """Let the request fail behind us."""
        self.requests.remove(request)

    def wait(self, seconds: float) -> None:
        """Let time pass; the API server gives up what takes too long."""
        self.cluster.now += seconds
        limit = self.cluster.now - REQUEST_SECONDS
        self.requests = [each for each in self.requests if each.started > limit]

    def do(self, resource: str, uid: str, pods: int = 1, units: int = 1, *, by: int = 0) -> Answer:
        """Create or change, ask one who has heard the newest ledger, and land, in one go."""
        self.replicas[by].hear()
        there = uid in self.cluster.objects[resource]
        begin = self.update if there else self.create
        request = begin(resource, uid, pods, units)
        answer = self.ask(request, by)
        if answer == "allowed":
            self.land(request)
        return answer

    def deliver_all(self, *resources: str) -> None:
        """Let every view see everything, or all of these types."""
        for replica in self.replicas:
            for resource in resources or FOLLOWED:
                if resource == "replicasets" and self.naive.blind_to_children:
                    continue
                replica.follower.deliver(resource)

    @property
    def is_over_committed(self) -> bool:
        return self.cluster.declared > self.room

    def come_to_rest(self) -> None:
        """End all requests, show everything to everyone, let old promises be questioned."""
        for request in tuple(self.requests):
            self.fail(request)
        for _ in range(4):
            self.wait(PROMISE_SECONDS + 1)
            for replica in self.replicas:
                replica.hear()
                replica.take_over()
                for resource in FOLLOWED:
                    replica.follower.deliver(resource)
                replica.question_all()
                for resource in FOLLOWED:
                    replica.follower.bookmark(resource)
                replica.question_all()
                replica.sweep()
