"""Seats: room kept for a while for who owns pods of kinds unknown to us, when one of them vanishes.

Nothing says how many pods such an owner wants. That one vanished unfinished (evicted, drained,
deleted to be made anew) says that there will be another: its size stays, and the next pod of that
owner takes it. Time is an argument.
"""

import heapq
from typing import Final

import msgspec

from kube_headroom.capacity.held import Holding, Register
from kube_headroom.capacity.load import NOTHING, Load
from kube_headroom.resources.placement import Placement

SEAT_SECONDS: Final = 60.0


class Seat(msgspec.Struct):
    """What one pod left."""

    uid: str
    """Of that pod."""
    owner: str
    size: Load
    placement: Placement
    priority: int
    until: float
    taken_by: str = ""
    """uid of a pod that is promised its room, and not seen yet."""


class Seats:
    """All seats of a view, each a holder of its own in the register."""

    def __init__(self, register: Register) -> None:
        self.seconds = SEAT_SECONDS
        self._register = register
        self._seats: dict[str, Seat] = {}
        self._of_owner: dict[str, dict[str, None]] = {}
        self._taken: dict[str, str] = {}
        self._ends: list[tuple[float, str]] = []

    def keep(self, seat: Seat) -> None:
        """Keep the seat of a pod that is leaving or gone until it ends."""
        self.drop(seat.uid)
        if seat.size == NOTHING:
            return
        self._seats[seat.uid] = seat
        self._of_owner.setdefault(seat.owner, {})[seat.uid] = None
        self._refresh(seat)
        heapq.heappush(self._ends, (seat.until, seat.uid))

    def end_at(self, uid: str, until: float) -> None:
        """Let a seat, if it is still kept, end then."""
        seat = self._seats.get(uid)
        if seat is not None:
            seat.until = until
            heapq.heappush(self._ends, (until, uid))

    def drop(self, uid: str) -> None:
        """Give a seat up: its pod is counted again, or it was used, or has ended."""
        seat = self._seats.pop(uid, None)
        if seat is None:
            return
        self._taken.pop(seat.taken_by, None)
        del self._of_owner[seat.owner][uid]
        if not self._of_owner[seat.owner]:
            del self._of_owner[seat.owner]
        self._register.set(holder_of(uid), ())

    def holders(self, owner: str) -> list[str]:
        """Return the holders of what is kept for an owner."""
        return [holder_of(uid) for uid in self._of_owner.get(owner, ())]

    def take(self, owner: str, pod: str) -> None:
        """Let a pod have a seat of its owner's, if there is one: the oldest."""
        if pod in self._taken:
            return
        for uid in self._of_owner.get(owner, ()):
            seat = self._seats[uid]
            if not seat.taken_by:
                seat.taken_by = pod
                self._taken[pod] = uid
                self._refresh(seat)
                return

    def give_back(self, pod: str) -> None:
        """Free the seat of a pod that never came."""
        uid = self._taken.pop(pod, "")
        if uid:
            self._seats[uid].taken_by = ""
            self._refresh(self._seats[uid])

    def use(self, pod: str) -> None:
        """End the seat of a pod that has come."""
        self.drop(self._taken.get(pod, ""))

    def tick(self, now: float) -> None:
        """Let time pass: what nobody took in time is free for all."""
        while self._ends and self._ends[0][0] <= now:
            uid = heapq.heappop(self._ends)[1]
            seat = self._seats.get(uid)
            if seat is not None and seat.until <= now:
                self.drop(uid)

    def _refresh(self, seat: Seat) -> None:
        size = seat.size
        held = Holding(seat.placement, seat.priority, size, 1, size, size)
        self._register.set(holder_of(seat.uid), () if seat.taken_by else (held,))


def holder_of(uid: str) -> str:
    """Return the holder of the seat that a pod left."""
    return f"seat of {uid}"
