"""A promise: one allowed request that not every view shows yet. A row of the ledger."""

from typing import Final

import msgspec

from kube_headroom.capacity.load import Load
from kube_headroom.resources.placement import Placement
from kube_headroom.resources.selector import Selector

UNKNOWN: Final = "?"
"""Begins the uid of a controller of a kind that we do not know."""

NameKey = tuple[str, str, str]
"""Plural, namespace, name."""


class Version(msgspec.Struct, frozen=True, gc=False):
    """What a workload, or a bare pod, asks for at one time: count x unit on these nodes."""

    count: int
    unit: Load
    placement: Placement
    priority: int
    owner: str = ""
    """uid of the controller above it, marked if its kind is unknown; empty for a root."""
    preempts: bool = True
    """Whether its pods may evict pods of a lower priority (preemptionPolicy)."""


class Promise(msgspec.Struct, frozen=True, gc=False):
    """A version that was allowed, judged by strangers from this row alone (ledger-protocol L4).

    resource: the plural name; base: the resourceVersion that the request replaces, 0 for a create;
    name: empty when the API server made it up, since nobody retries that one under the same name;
    covers: of a new workload, by what it takes pods and ReplicaSets that nobody controls.
    """

    resource: str
    uid: str
    base: int
    namespace: str
    name: str
    version: Version
    covers: Selector | None = None

    @property
    def name_key(self) -> NameKey | None:
        """What retries of one create have in common; None for what nobody creates again so."""
        return None if self.base or not self.name else (self.resource, self.namespace, self.name)

    @property
    def lets_go(self) -> bool:
        """Whether, of a pod that has a known controller, it takes it from that one.

        All that its controller was charged for is counted 0.
        """
        return self.resource == "pods" and self.base > 0 and self.version.count > 0
