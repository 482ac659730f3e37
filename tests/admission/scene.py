"""One scene: a policy, a cluster and a clock, and requests that come one after the other.

The real Reviewer, View and Ledger, from review bytes to answer bytes; only the transport is left out.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Mapping
from typing import Any

import msgspec

from kube_headroom.admission.decision import Decision
from kube_headroom.admission.ours import Identity
from kube_headroom.admission.promiser import LocalPromiser
from kube_headroom.admission.reviewer import Reviewer
from kube_headroom.capacity.view import RESOURCES, View
from kube_headroom.errors import ClusterUnavailable
from kube_headroom.policy.model import Policy
from kube_headroom.resources.objects import KubeObject
from tests.admission.manifests import GROUP_VERSIONS, manifest, resource_of

NAMESPACE = "kube-headroom"
POLICY_CONFIGMAP = "kube-headroom-policy"
CONTROLLERS = "system:serviceaccount:kube-system:"
START_SECONDS = 1000.0


class Answer(msgspec.Struct, frozen=True):
    """What came back, and what was noted of it."""

    response: dict[str, Any]
    decision: Decision
    body: bytes


async def settled(answer: bytes | Awaitable[bytes]) -> bytes:
    """Return an answer that comes at once or later."""
    return answer if isinstance(answer, bytes) else await answer


class Scene:
    """The parts of one process, with a clock that stands still."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.now = START_SECONDS
        self.view = View()
        self.decisions: list[Decision] = []
        self.reviewer = Reviewer(
            Identity(NAMESPACE, POLICY_CONFIGMAP),
            self.view,
            LocalPromiser(self.view.ledger, self.clock),
            self,
            clock=self.clock,
        )
        policy = given.get("policy", {})
        if policy is not None:
            self.reviewer.policy = Policy.model_validate(policy)
        self._fill(given.get("cluster", []), frozenset(given.get("unlisted", [])))

    def clock(self) -> float:
        return self.now

    def decided(self, decision: Decision, seconds: float) -> None:
        self.decisions.append(decision)

    async def send(self, step: Mapping[str, Any]) -> Answer | ClusterUnavailable:
        """Send one step's request."""
        self.now += step.get("after_seconds", 0)
        body = json.dumps(review_of(step)).encode()
        try:
            answer = await settled(self.reviewer.review(body))
        except ClusterUnavailable as error:
            return error
        return Answer(json.loads(answer)["response"], self.decisions[-1], answer)

    def show(self, short: dict[str, Any]) -> None:
        """Let the view see an object as it is now."""
        obj = manifest(short)
        self.view.put(resource_of(obj["kind"]), msgspec.convert(obj, KubeObject))

    def _fill(self, cluster: list[dict[str, Any]], unlisted: frozenset[str]) -> None:
        objects = [manifest(short) for short in cluster]
        for resource in RESOURCES:
            if resource in unlisted or "everything" in unlisted:
                continue
            self.view.begin_list(resource)
            for obj in objects:
                if resource_of(obj["kind"]) == resource:
                    self.view.put(resource, msgspec.convert(obj, KubeObject))
            self.view.end_list(resource, "10", self.now)


def review_of(step: Mapping[str, Any]) -> dict[str, Any]:
    """Return the AdmissionReview of a step, as kube-apiserver sends it."""
    if "raw" in step:
        return step["raw"]
    if "scale" in step:
        request = _scale(step["scale"])
    elif "create" in step:
        request = _request("CREATE", manifest(step["create"]), None)
    elif "delete" in step:
        request = {**_request("DELETE", None, manifest(step["delete"])), "object": None}
    else:
        request = _request("UPDATE", manifest(step["update"]), manifest(step["old"]))
    user = step.get("by", "alice")
    username = f"{CONTROLLERS}{user.removeprefix('ksa:')}" if user.startswith("ksa:") else user
    groups = [*step.get("groups", []), "system:authenticated"]
    request |= {"userInfo": {"username": username, "groups": groups}}
    request |= {"dryRun": step.get("dry_run", False), "options": {}}
    if "subresource" in step:
        request["subResource"] = step["subresource"]
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def _request(
    operation: str, obj: dict[str, Any] | None, old: dict[str, Any] | None
) -> dict[str, Any]:
    known = obj or old
    assert known is not None
    group, version, resource = GROUP_VERSIONS[known["kind"]]
    metadata = known["metadata"]
    return {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": group, "version": version, "kind": known["kind"]},
        "resource": {"group": group, "version": version, "resource": resource},
        "name": "" if "generateName" in metadata and operation == "CREATE" else metadata["name"],
        **({"namespace": metadata["namespace"]} if "namespace" in metadata else {}),
        "operation": operation,
        "object": obj,
        "oldObject": old,
    }


def _scale(short: dict[str, Any]) -> dict[str, Any]:
    """Return the request of `kubectl scale`: a Scale with the parent's uid, and no template."""
    parent = manifest({"kind": short["kind"], "name": short["name"], "rv": short.get("rv", 10)})
    group, version, resource = GROUP_VERSIONS[short["kind"]]

    def scale(replicas: int) -> dict[str, Any]:
        body: dict[str, Any] = {"apiVersion": "autoscaling/v1", "kind": "Scale"}
        return body | {"metadata": parent["metadata"], "spec": {"replicas": replicas}}

    request = _request("UPDATE", parent, parent)
    return request | {
        "kind": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
        "resource": {"group": group, "version": version, "resource": resource},
        "subResource": "scale",
        "object": scale(short["to"]),
        "oldObject": scale(short["from"]),
    }
