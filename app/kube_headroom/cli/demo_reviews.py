"""The API server's part of the demo: manifests to AdmissionReviews, and what was accepted.

A manifest of an object that exists is an UPDATE with its old self, any other a CREATE with the uid
it will have; a Scale is what `kubectl scale` sends: sizes, the parent's uid, and no template.
"""

import uuid
from collections.abc import Iterable
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from kube_headroom.errors import AppError
from kube_headroom.resources.manifest import Document, to_object
from kube_headroom.resources.objects import KubeObject
from kube_headroom.resources.workload import GROUPS

EXPECT: Final = "kube-headroom.io/expect"
"""Annotation: `allowed`, or the codes that must refuse it."""
OF: Final = "kube-headroom.io/of"
"""Annotation of a Scale: the kind of the workload of its name."""

_USER: Final = {"username": "developer", "groups": ["shop-developers", "system:authenticated"]}
_Object = dict[str, Any]


class BadManifest(AppError):  # noqa: N818 - named for what it is
    """A manifest that cannot be sent."""


class Step(msgspec.Struct, frozen=True):
    """One review, the command that it stands for, and what kubectl says to either answer."""

    command: str
    review: _Object
    done: str
    refused: str
    expected: frozenset[str]
    """Empty where the manifest expects nothing."""
    accepted: _Object
    """The object that exists once the review was allowed."""


class ApiServer:
    """What exists, and the reviews of what is sent."""

    def __init__(self, present: Iterable[KubeObject]) -> None:
        self._objects: dict[tuple[str, str, str], _Object] = {}
        self._version = 1
        for obj in present:
            if obj.kind in GROUPS:
                self._put(msgspec.to_builtins(obj))

    def step(self, document: Document) -> Step:
        """Return the review of a manifest as things are now. Raises BadManifest."""
        kind = to_object(document).kind
        if kind == "Scale":
            return self._scale(document)
        if kind not in GROUPS:
            raise BadManifest(f"{document.source}:{document.line}: the webhook judges no {kind}")
        return self._apply(document)

    def store(self, step: Step) -> None:
        """Let what was allowed exist."""
        self._put(step.accepted)

    def _apply(self, document: Document) -> Step:
        data = deepcopy(document.data)
        metadata = _metadata(data)
        old = self._objects.get(_key(data))
        if old is None:
            metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": _now(), "generation": 1}
            operation, done, doing = "CREATE", "created", "creating"
        else:
            same = ("uid", "resourceVersion")
            metadata |= {field: old["metadata"][field] for field in same}
            operation, done, doing = "UPDATE", "configured", "patching"
        source = document.source
        return Step(
            command=f"kubectl apply -f {source}",
            review=_review(operation, data, old, resource_of=data["kind"]),
            done=f"{_shown(data)} {done}",
            refused=f'Error from server (Forbidden): error when {doing} "{source}":',
            expected=_expected(metadata),
            accepted=data,
        )

    def _scale(self, document: Document) -> Step:
        data = deepcopy(document.data)
        metadata = _metadata(data)
        kind = _annotation(metadata, OF) or "Deployment"
        parent = self._objects.get((kind, metadata["namespace"], metadata["name"]))
        if parent is None:
            name = f"{metadata['namespace']}/{metadata['name']}"
            raise BadManifest(
                f"{document.source}:{document.line}: there is no {kind} {name} to scale"
            )
        replicas = (data.get("spec") or {}).get("replicas") or 0
        shown = f"{kind.lower()} {metadata['name']} -n {metadata['namespace']}"
        return Step(
            command=f"kubectl scale {shown} --replicas={replicas}",
            review=_review(
                "UPDATE",
                _scale_of(parent, replicas),
                _scale_of(parent, _replicas(parent)),
                resource_of=kind,
            ),
            done=f"{_shown(parent)} scaled",
            refused="Error from server (Forbidden):",
            expected=_expected(metadata),
            accepted={**parent, "spec": {**(parent.get("spec") or {}), "replicas": replicas}},
        )

    def _put(self, obj: _Object) -> None:
        self._version += 1
        metadata = obj["metadata"]
        version = metadata.get("resourceVersion") or "0"
        self._version = max(self._version, int(version) + 1 if version.isdecimal() else 0)
        metadata = {**metadata, "resourceVersion": str(self._version)}
        self._objects[_key(obj)] = {**obj, "metadata": metadata}


def _review(operation: str, obj: _Object, old: _Object | None, *, resource_of: str) -> _Object:
    """Return the AdmissionReview, field for field as kube-apiserver sends it."""
    group = GROUPS[resource_of]
    kind = {"group": group, "version": "v1", "kind": resource_of}
    if obj["kind"] == "Scale":
        kind = {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    resource = {"group": group, "version": "v1", "resource": f"{resource_of.lower()}s"}
    subresource = {"subResource": "scale"} if obj["kind"] == "Scale" else {}
    options = {"apiVersion": "meta.k8s.io/v1", "kind": f"{operation.capitalize()}Options"}
    request = {
        "uid": str(uuid.uuid4()),
        "kind": kind,
        "resource": resource,
        "requestKind": kind,
        "requestResource": resource,
        **subresource,
        "name": obj["metadata"]["name"],
        "namespace": obj["metadata"]["namespace"],
        "operation": operation,
        "userInfo": _USER,
        "object": obj,
        "oldObject": old,
        "dryRun": False,
        "options": options,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def _scale_of(parent: _Object, replicas: int) -> _Object:
    fields = ("name", "namespace", "uid", "resourceVersion")
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {field: parent["metadata"].get(field) for field in fields},
        "spec": {"replicas": replicas},
        "status": {"replicas": _replicas(parent)},
    }


def _replicas(obj: _Object) -> int:
    replicas = (obj.get("spec") or {}).get("replicas")
    return 1 if replicas is None else int(replicas)


def _metadata(data: _Object) -> _Object:
    metadata: _Object = data.setdefault("metadata", {})
    metadata["namespace"] = metadata.get("namespace") or "default"
    generated = f"{metadata.get('generateName') or ''}{uuid.uuid4().hex[:5]}"
    metadata["name"] = metadata.get("name") or generated
    return metadata


def _key(obj: _Object) -> tuple[str, str, str]:
    metadata = obj["metadata"]
    return (obj["kind"], metadata.get("namespace") or "", metadata.get("name") or "")


def _expected(metadata: _Object) -> frozenset[str]:
    return frozenset(_annotation(metadata, EXPECT).replace(",", " ").split())


def _annotation(metadata: _Object, name: str) -> str:
    return str((metadata.get("annotations") or {}).get(name) or "")


def _shown(obj: _Object) -> str:
    """Return what kubectl calls it: deployment.apps/web."""
    group = GROUPS[obj["kind"]]
    kind = obj["kind"].lower()
    return (
        f"{kind}.{group}/{obj['metadata']['name']}"
        if group
        else f"{kind}/{obj['metadata']['name']}"
    )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
