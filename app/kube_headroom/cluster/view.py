"""What this room writes to: the reflectors and the snapshots show a view what there is.

A protocol, so that the view knows nothing of clients and this room nothing of capacity.
"""

from typing import Protocol

from kube_headroom.resources.objects import KubeObject


class View(Protocol):
    """A picture of the cluster, by resource type (its plural name)."""

    def begin_list(self, resource: str) -> None:
        """Start a list of this type; what follows until end_list is all there is."""

    def put(self, resource: str, obj: KubeObject) -> None:
        """Take a new or changed object."""

    def remove(self, resource: str, obj: KubeObject) -> None:
        """Forget an object; obj is its last state."""

    def end_list(self, resource: str, resource_version: str, now: float) -> None:
        """Drop what the list did not show."""

    def progress(self, resource: str, resource_version: str, now: float) -> None:
        """Note that the view is as of this version, now."""
