"""Pod counts: the pods of a book, each counted on its node and under its workload.

Separate because it is about single pods: whose each is, what it holds, when that changes by itself.
"""

import heapq
from collections.abc import Iterable

from kube_headroom.capacity.held import Holding, Register
from kube_headroom.capacity.load import NOTHING
from kube_headroom.capacity.matching import Matching
from kube_headroom.capacity.node import Nodes
from kube_headroom.capacity.owners import Owners
from kube_headroom.capacity.pods import LIVE, NEVER, ON_NODE, PodRow, promised_pod
from kube_headroom.capacity.promise import UNKNOWN, Promise
from kube_headroom.capacity.seats import Seat, Seats


class PodCounts:
    """All pods of a book, and what is promised of pods."""

    def __init__(
        self, nodes: Nodes, register: Register, owners: Owners, matching: Matching
    ) -> None:
        self.rows: dict[str, PodRow] = {}
        self.seats = Seats(register)
        self.now = 0.0
        self._nodes = nodes
        self._register = register
        self._owners = owners
        self._matching = matching
        self._of_node: dict[str, set[str]] = {}
        self._promises: dict[str, dict[Promise, int]] = {}
        self._deadlines: list[tuple[float, str]] = []
        self._due: set[tuple[float, str]] = set()
        """The same, so that none is noted twice."""

    # The view.

    def put(self, row: PodRow) -> None:
        """Take over a pod as the view shows it."""
        old = self.rows.get(row.uid)
        if old is not None:
            if old.leaving_until and row.leaving_until:
                row.leaving_until = old.leaving_until  # first seen so, not last
            if old.weightless_at and row.weightless_at != NEVER:  # a gate is no waiting time
                row.weightless_at = min(row.weightless_at, old.weightless_at)
            self._uncount(old)
        self.rows[row.uid] = row
        self._match(row)
        self._file(row)
        if old is not None:
            self._unfile(old, kept=row)
        self._count(row)
        if old is not None and old.group != row.group:
            self._owners.refresh(old.group)
        if row.owner.startswith(UNKNOWN):
            self._seat(row, old)

    def remove(self, uid: str, *, finished: bool) -> None:
        """Forget a pod that is gone or finished."""
        row = self.rows.pop(uid, None)
        if row is None:
            return
        counted = row.counted > 0
        self._matching.put_loose(uid, None)
        self._uncount(row)
        self._unfile(row, kept=None)
        self.refresh(uid)
        self._owners.refresh(row.group)
        if row.owner.startswith(UNKNOWN) and (row.leaving_until or not finished):
            self._leave_seat(row, counted=counted)

    def node_changed(self, name: str) -> None:
        """Recount the pods of a node that appeared, went away, or changed its readiness."""
        self.recount(self._of_node.get(name, ()))

    def tick(self) -> None:
        """Let time pass: what has been leaving, or unschedulable, too long is counted anew."""
        due = []
        while self._deadlines and self._deadlines[0][0] <= self.now:
            deadline = heapq.heappop(self._deadlines)
            self._due.discard(deadline)
            due.append(deadline[1])
        self.recount(due)
        self.seats.tick(self.now)

    # The promises.

    def lay(self, promise: Promise, home: str) -> None:
        """Lay the promise of a pod over what is seen of it."""
        if home not in self._promises:
            self._promise_seat(promise, home)
        laid = self._promises.setdefault(home, {})
        laid[promise] = laid.get(promise, 0) + 1
        self._promised(promise, home)

    def lift(self, promise: Promise, home: str) -> None:
        """Take it off."""
        take_off(self._promises[home], promise)
        if not self._promises[home]:
            del self._promises[home]
            self.seats.give_back(home)
        self._promised(promise, home)

    def promised(self, home: str) -> bool:
        """Tell whether anything is promised of a pod."""
        return home in self._promises

    def holdings_with(self, promise: Promise, home: str) -> tuple[Holding, ...]:
        """Return what a pod would hold with a promise more."""
        return self._holdings(home, {*self._promises.get(home, ()), promise})

    def _promised(self, promise: Promise, home: str) -> None:
        """Count anew a pod of which something is promised, or no more."""
        row = self.rows.get(home)
        if row is not None and promise.lets_go:
            self.regroup(row)
        self.refresh(home)

    # Whose a pod is.

    def _match(self, row: PodRow) -> None:
        """Find the workload that a pod is counted under: not one that lets go of it."""
        self._matching.put_loose(row.uid, None if row.owner else row.tags)
        if not row.owner:
            row.group = self._matching.taker_of(row.tags) if row.tags is not None else ""
            return
        if row.tags is not None and row.is_controlled:
            selector = self._owners.selector_of(row.owner)
            row.let_go = selector is not None and not selector.selects(row.tags.labels)
            if selector is not None and not row.let_go:
                row.tags = None  # its controller keeps it for good, or its next event says more
        promises = self._promises.get(row.uid, ())
        let_go = row.let_go or any(each.lets_go for each in promises)
        row.group = row.owner if row.is_controlled and not let_go else ""

    def regroup(self, row: PodRow) -> None:
        """Count a pod under another workload, if it is to be."""
        before = row.group
        self._uncount(row)
        self._match(row)
        self._join(row)
        self._leave(row.uid, before, row.owner, kept=row)
        self._count(row)
        self._owners.refresh(before)

    # Seats.

    def _seat(self, row: PodRow, old: PodRow | None) -> None:
        """Keep the seat of a pod that begins to leave; let one that comes have another's."""
        if not row.counted:
            if old is None or not old.leaving_until:
                self.seats.keep(_seat_of(row, row.leaving_until + self.seats.seconds))
        elif row.size != NOTHING and (old is None or old.size == NOTHING):
            self.seats.take(row.owner, row.uid)
            self.seats.use(row.uid)

    def _promise_seat(self, promise: Promise, home: str) -> None:
        """Let a pod that is to come, or to weigh something at last, have a seat of its owner's."""
        row = self.rows.get(home)
        if promise.version.count and (row is None or row.size == NOTHING):
            self.seats.take(promise.version.owner, home)

    def _leave_seat(self, row: PodRow, *, counted: bool) -> None:
        """Keep the seat of a pod that is gone: it began to leave with it, or leaves it now."""
        until = self.now + self.seats.seconds
        if counted:
            self.seats.keep(_seat_of(row, until))
        else:
            self.seats.end_at(row.uid, until)

    # Counting pods.

    def _count(self, row: PodRow) -> None:
        now, group = self.now, self._owners.groups.get(row.group)
        row.size = NOTHING if not row.node and row.weightless_at <= now else row.load
        row.counted = 0
        if now >= max(row.leaving_until, group.gone_until if group else 0.0):
            if row.node:
                row.counted |= ON_NODE
                self._nodes.assign(row.node, row.priority, row.size, add=True)
            if not (row.node and row.replaced) or self._nodes.is_ready(row.node):
                row.counted |= LIVE
                if group is not None:
                    group.count_pod(row.size, row.priority, 1)
            self.seats.drop(row.uid)
        self.refresh(row.uid)
        self._owners.refresh(row.group)

    def _uncount(self, row: PodRow) -> None:
        if row.counted & ON_NODE:
            self._nodes.assign(row.node, row.priority, row.size, add=False)
        group = self._owners.groups.get(row.group)
        if row.counted & LIVE and group is not None:
            group.count_pod(row.size, row.priority, -1)
        row.counted = 0

    def recount(self, uids: Iterable[str]) -> None:
        """Count pods anew whose node, owner or time has changed."""
        for uid in uids:
            row = self.rows.get(uid)
            if row is not None:
                self._uncount(row)
                self._count(row)

    def wake_at(self, when: float, uid: str) -> None:
        """Count a pod anew at a time that is to come."""
        if self.now < when < NEVER and (when, uid) not in self._due:
            self._due.add((when, uid))
            heapq.heappush(self._deadlines, (when, uid))

    def _file(self, row: PodRow) -> None:
        if row.node:
            self._of_node.setdefault(row.node, set()).add(row.uid)
        self._join(row)
        self.wake_at(row.leaving_until, row.uid)
        self.wake_at(row.weightless_at, row.uid)

    def _unfile(self, row: PodRow, kept: PodRow | None) -> None:
        """Take a pod from where it was filed and is no more."""
        residents = self._of_node.get(row.node)
        if residents is not None and (kept is None or kept.node != row.node):
            residents.discard(row.uid)
            if not residents:
                del self._of_node[row.node]
        if kept is None or kept.group != row.group or row.strays_from:
            self._leave(row.uid, row.group, row.owner, kept)

    def _join(self, row: PodRow) -> None:
        """File a pod with the workload that it is counted under, and with one it strays from."""
        if row.group:
            group = self._owners.group(row.group)
            group.pods.add(row.uid)
            self.wake_at(group.gone_until, row.uid)
        if row.strays_from:
            self._owners.group(row.strays_from).strays.add(row.uid)

    def _leave(self, uid: str, counted: str, owner: str, kept: PodRow | None) -> None:
        for name in {counted, owner} & self._owners.groups.keys():
            group = self._owners.groups[name]
            if kept is None or kept.group != name:
                group.pods.discard(uid)
            if kept is None or kept.strays_from != name:
                group.strays.discard(uid)
            self._owners.drop_if_empty(name)

    # Holdings.

    def refresh(self, uid: str) -> None:
        """Recompute what a pod holds beside what is counted on its node."""
        self._register.set(uid, self._holdings(uid, self._promises.get(uid, ())))

    def _holdings(self, uid: str, promises: Iterable[Promise]) -> tuple[Holding, ...]:
        row = self.rows.get(uid)
        holdings = [promised_pod(promise, row) for promise in promises]
        if row is not None and not row.node and row.counted & LIVE:
            size = row.size
            holdings.append(Holding(row.placement, row.priority, size, 1, size, size))
        return tuple(part for part in holdings if part.total != NOTHING)


def take_off(laid: dict[Promise, int], promise: Promise) -> None:
    """Take one of what may be laid several times."""
    laid[promise] -= 1
    if not laid[promise]:
        del laid[promise]


def _seat_of(row: PodRow, until: float) -> Seat:
    return Seat(row.uid, row.owner, row.size, row.placement, row.priority, until)
