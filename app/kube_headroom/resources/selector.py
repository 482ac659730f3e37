"""Selectors: which objects a workload takes for its own by their labels.

Separate from placement because it is about owners, not nodes. A controller lets go of a pod that its
selector matches no more, and takes what matches and has no controller (ClaimObject in upstream's
pkg/controller/controller_ref_manager.go).
"""

from typing import Final

import msgspec

from kube_headroom.resources.objects import KubeObject, ObjectMeta, Spec

TAKES: Final = {
    "Deployment": "replicasets",
    "ReplicaSet": "pods",
    "StatefulSet": "pods",
    "ReplicationController": "pods",
}
"""Who takes what that has no controller. Jobs select by a uid of their own, DaemonSets hold nothing."""
_OPERATORS: Final = frozenset({"In", "NotIn", "Exists", "DoesNotExist"})


class Tags(msgspec.Struct, frozen=True, gc=False):
    """What selectors read of an object."""

    resource: str
    namespace: str
    name: str
    labels: dict[str, str | None]


class Condition(msgspec.Struct, frozen=True, gc=False):
    """One of matchExpressions."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def holds(self, labels: dict[str, str | None]) -> bool:
        """Tell whether labels meet it. What is not there is in no list."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
        return self.key not in labels


class Selector(msgspec.Struct, frozen=True, gc=False):
    """A workload's selector, and what it takes: nothing where `takes` is empty.

    name: a StatefulSet takes only pods that are called like its own, `name-0` and so on.
    """

    namespace: str
    labels: tuple[tuple[str, str], ...] = ()
    conditions: tuple[Condition, ...] = ()
    takes: str = ""
    name: str = ""

    def selects(self, labels: dict[str, str | None]) -> bool:
        """Tell whether it matches an object of its namespace with these labels."""
        for key, value in self.labels:
            if labels.get(key) != value:
                return False
        return all(each.holds(labels) for each in self.conditions)

    def adopts(self, tags: Tags) -> bool:
        """Tell whether its controller would take an object that has no controller."""
        if (self.takes, self.namespace) != (tags.resource, tags.namespace):
            return False
        if self.name:
            name, _, ordinal = tags.name.rpartition("-")
            if name != self.name or not (ordinal.isascii() and ordinal.isdigit()):
                return False
        return self.selects(tags.labels)


def selector_of(obj: KubeObject) -> Selector | None:
    """Return a workload's selector; None without one, or once its controller only clears up."""
    spec = obj.spec if obj.spec is not None else Spec()
    if obj.metadata.deletion_timestamp is not None:
        return None
    if obj.kind == "ReplicationController":
        pairs = _pairs(spec.selector or _template_labels(spec))
        conditions: tuple[Condition, ...] = ()
    else:
        selector = spec.selector or {}
        pairs = _pairs(selector.get("matchLabels"))
        conditions = _conditions(selector.get("matchExpressions"))
    if not pairs and not conditions:  # one that matches everything is refused upstream
        return None
    return Selector(
        namespace=obj.metadata.namespace or "",
        labels=pairs,
        conditions=conditions,
        takes=TAKES.get(obj.kind, ""),
        name=(obj.metadata.name or "") if obj.kind == "StatefulSet" else "",
    )


def tags_of(resource: str, metadata: ObjectMeta) -> Tags:
    """Return what selectors read of an object."""
    return Tags(resource, metadata.namespace or "", metadata.name or "", metadata.labels or {})


def _template_labels(spec: Spec) -> dict[str, str | None]:
    template = spec.template
    return (template and template.metadata and template.metadata.labels) or {}


def _pairs(labels: object) -> tuple[tuple[str, str], ...]:
    items = labels.items() if isinstance(labels, dict) else ()
    return tuple(sorted((key, value if isinstance(value, str) else "") for key, value in items))


def _conditions(expressions: object) -> tuple[Condition, ...]:
    try:
        read = msgspec.convert(expressions or [], list[Condition])
    except msgspec.ValidationError:
        return ()
    return tuple(each for each in read if each.operator in _OPERATORS)
