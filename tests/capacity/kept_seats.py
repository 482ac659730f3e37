"""Seats by their definition: what pods of unknown owners left, and who took it. Lists, no index.

A pod that begins to leave, or vanishes unfinished, leaves a seat of its size. The next pod of its owner
that is promised, or that comes to weigh something, takes the oldest that is free.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from kube_headroom.capacity.promise import Promise
from kube_headroom.resources.objects import KubeObject
from kube_headroom.resources.placement import Placement, placement_of
from kube_headroom.resources.pod import scheduler_amounts
from kube_headroom.resources.workload import GROUPS

if TYPE_CHECKING:
    from tests.capacity.world import World

SECONDS = 60
HOLD_SECONDS = 600


@dataclass
class Kept:
    """One seat."""

    pod: KubeObject
    uid: str
    owner: str
    until: float
    taken_by: str = ""

    @property
    def placement(self) -> Placement:
        """Where its pod could have gone."""
        assert self.pod.spec is not None
        return placement_of(msgspec.structs.replace(self.pod.spec, node_name=None))


class KeptSeats:
    """The seats of a world; told of each pod before and after the view is."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._seats: list[Kept] = []
        self._before: tuple[KubeObject | None, bool, bool] = (None, False, False)
        self._was_leaving = False

    def free(self) -> list[Kept]:
        """The seats that nobody took in time."""
        return [seat for seat in self._valid() if not seat.taken_by]

    def before(self, uid: str) -> None:
        """A pod is about to be shown anew, or to go."""
        old = self.world.shown.get("pods", {}).get(uid)
        if old is not None and is_finished(old):
            old = None
        terminating = uid in self.world.leaving
        self._was_leaving = self._is_leaving(uid)
        self._before = (old, terminating, old is not None and self._weighs(uid, old))

    def after(self, uid: str, obj: KubeObject) -> None:
        """It was shown."""
        old, terminating, weighed = self._before
        if is_finished(obj):
            self._ended(uid, finished=True)
        elif not (owner := unknown_owner(obj)):
            return
        elif self._is_leaving(uid):
            if (old is None or not terminating) and self._weighs(uid, obj):
                self._keep(Kept(obj, uid, owner, self.world.leaving[uid] + SECONDS))
        elif self._weighs(uid, obj) and not weighed:
            self._take(owner, uid)
            self._seats = [seat for seat in self._seats if seat.taken_by != uid]

    def gone(self, uid: str) -> None:
        """It is shown no more."""
        self._ended(uid, finished=False)

    def promised(self, promise: Promise) -> None:
        """It is about to be promised."""
        world, home = self.world, self.world.home(promise)
        if any(each.resource == "pods" and world.home(each) == home for each in world.ledger):
            return
        old = world.shown.get("pods", {}).get(home)
        weighs = old is not None and not is_finished(old) and self._weighs(home, old)
        if promise.version.count and promise.version.owner and not weighs:
            self._take(promise.version.owner, home)

    def settle(self) -> None:
        """Who is promised no more, and has not come, gives its seat back."""
        homes = {self.world.home(each) for each in self.world.ledger if each.resource == "pods"}
        for seat in self._seats:
            if seat.taken_by not in homes:
                seat.taken_by = ""

    def _ended(self, uid: str, *, finished: bool) -> None:
        old, terminating, weighed = self._before
        owner = unknown_owner(old) if old is not None else ""
        if old is None or not owner or (finished and not terminating):
            return
        until = self.world.now + SECONDS
        if self._was_leaving:
            for seat in self._seats:
                if seat.uid == uid:
                    seat.until = until
        elif weighed:
            self._keep(Kept(old, uid, owner, until))

    def _keep(self, new: Kept) -> None:
        self._seats = [*(seat for seat in self._seats if seat.uid != new.uid), new]

    def _take(self, owner: str, pod: str) -> None:
        if not any(seat.taken_by == pod for seat in self._valid()):
            for seat in self.free():
                if seat.owner == owner:
                    seat.taken_by = pod
                    return

    def _valid(self) -> list[Kept]:
        self._seats = [
            seat
            for seat in self._seats
            if self.world.now < seat.until and not self._counts(seat.uid)
        ]
        return self._seats

    def _counts(self, uid: str) -> bool:
        pod = self.world.shown.get("pods", {}).get(uid)
        return pod is not None and not is_finished(pod) and not self._is_leaving(uid)

    def _is_leaving(self, uid: str) -> bool:
        return self.world.now < self.world.leaving.get(uid, 0)

    def _weighs(self, uid: str, obj: KubeObject) -> bool:
        spec, world = obj.spec, self.world
        assert spec is not None
        waited = world.now - world.unschedulable.get(uid, world.now)
        if not spec.node_name and (spec.scheduling_gates or waited >= HOLD_SECONDS):
            return False
        return any(any(msgspec.structs.astuple(each)) for each in scheduler_amounts(obj))


def unknown_owner(obj: KubeObject) -> str:
    """The controller of an object, if it is of no kind that we know; as promises name it."""
    for owner in obj.metadata.owner_references or ():
        group = owner.api_version.rpartition("/")[0]
        if owner.controller and (owner.kind == "Pod" or GROUPS.get(owner.kind) != group):
            return f"?{owner.uid}"
    return ""


def is_finished(obj: KubeObject) -> bool:
    """Whether a pod has run to its end."""
    return obj.status is not None and obj.status.phase in {"Succeeded", "Failed"}
