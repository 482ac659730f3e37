"""What is asked, what may go wrong with it, and which rules a naive protocol leaves out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kube_headroom.resources.objects import KubeObject

Fault = Literal["", "conflict", "lost answer", "lost question", "crash before", "crash after"]
Answer = Literal["allowed", "refused", "unavailable", "nothing"]
PROMISE_SECONDS = 75
REQUEST_SECONDS = 60
"""What the API server gives a request, webhooks and all."""


@dataclass(frozen=True)
class Naive:
    """Which rules are left out."""

    gone_settles: bool = False  # L5: a create that the view does not show has come and gone
    no_watermarks: bool = False  # L6
    timed_expiry: bool = False  # L7: old is over
    forgets_losses: bool = False  # L9
    never_renews: bool = False  # L11: a row stands, so it covers
    no_child_rows: bool = False  # L12: what a controller sends needs no row
    blind_to_children: bool = False  # L13: a root holds what it asks for itself
    merged_bases: bool = False  # L3: one row a uid, with the oldest base


@dataclass
class Request:
    """One API request: its object as it would be stored, and what it replaces."""

    resource: str
    obj: KubeObject
    base: int
    started: float
    controller: bool = False
    """Sent by its owner's own controller: recorded, never refused."""
    allowed: bool = False

    @property
    def uid(self) -> str:
        return str(self.obj.metadata.uid)
