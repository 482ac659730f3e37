"""What is watched: the name, kind and place in the API of each resource type.

Separate from the feed because snapshots from files need the same table without any client.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec


class ResourcePath(msgspec.Struct, frozen=True):
    """One resource type of the API, over all namespaces unless namespace is set."""

    plural: str
    kind: str
    api_version: str = "v1"
    namespace: str = ""
    field_selector: str = ""

    @property
    def path(self) -> str:
        """The URL path of its collection."""
        root = "/apis" if "/" in self.api_version else "/api"
        inside = f"/namespaces/{self.namespace}" if self.namespace else ""
        return f"{root}/{self.api_version}{inside}/{self.plural}"

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        return api_group(self.api_version)


def api_group(api_version: str) -> str:
    """Return the group of an apiVersion: `apps` of `apps/v1`, nothing of `v1`."""
    return api_version.partition("/")[0] if "/" in api_version else ""


def _table(paths: Iterable[ResourcePath]) -> Mapping[str, ResourcePath]:
    return {path.plural: path for path in paths}


RESOURCES: Final[Mapping[str, ResourcePath]] = _table(
    (
        ResourcePath("namespaces", "Namespace"),
        ResourcePath("nodes", "Node"),
        ResourcePath("pods", "Pod"),
        ResourcePath("replicationcontrollers", "ReplicationController"),
        ResourcePath("limitranges", "LimitRange"),
        ResourcePath("resourcequotas", "ResourceQuota"),
        ResourcePath("deployments", "Deployment", "apps/v1"),
        ResourcePath("replicasets", "ReplicaSet", "apps/v1"),
        ResourcePath("statefulsets", "StatefulSet", "apps/v1"),
        ResourcePath("daemonsets", "DaemonSet", "apps/v1"),
        ResourcePath("jobs", "Job", "batch/v1"),
        ResourcePath("cronjobs", "CronJob", "batch/v1"),
        ResourcePath("horizontalpodautoscalers", "HorizontalPodAutoscaler", "autoscaling/v2"),
        ResourcePath("priorityclasses", "PriorityClass", "scheduling.k8s.io/v1"),
        ResourcePath("runtimeclasses", "RuntimeClass", "node.k8s.io/v1"),
    )
)
"""Every type the view is made of, by its plural name."""
