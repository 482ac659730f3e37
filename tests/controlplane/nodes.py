"""Nodes without machines: Node objects that kwok keeps ready and whose pods it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Taint = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NodeShape:
    """What a node offers; `more` are further resources such as ephemeral-storage."""

    cpu: str
    memory: str
    pods: int
    labels: Mapping[str, str]
    taints: Sequence[Taint]
    more: Mapping[str, str]

    def manifest(self, name: str) -> dict[str, Any]:
        """Return the Node object."""
        offered = {"cpu": self.cpu, "memory": self.memory, "pods": str(self.pods), **self.more}
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "annotations": {"kwok.x-k8s.io/node": "fake"},
                "labels": {
                    "kubernetes.io/hostname": name,
                    "kubernetes.io/os": "linux",
                    "kubernetes.io/arch": "amd64",
                    "type": "kwok",
                    **self.labels,
                },
            },
            "spec": {"taints": [dict(taint) for taint in self.taints]},
            "status": {"allocatable": offered, "capacity": offered},
        }


def is_ready(node: Mapping[str, Any]) -> bool:
    """Whether the node is Ready and the controllers have lifted their own taint from it."""
    conditions = node.get("status", {}).get("conditions") or []
    taints = node.get("spec", {}).get("taints") or []
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return ready and not any(t["key"] == "node.kubernetes.io/not-ready" for t in taints)
