"""Reviews sent to the webhook's port without an API server, as anybody who reaches it could."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.e2e.webhook import WebhookProcess


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def response(self) -> dict[str, Any]:
        """The response in the answered AdmissionReview."""
        response: dict[str, Any] = json.loads(self.body)["response"]
        return response


def review(obj: dict[str, Any], **request: Any) -> dict[str, Any]:
    """Return a review of a new pod, in a dry run: it promises nothing."""
    namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "any",
            "operation": "CREATE",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": namespace,
            "name": name,
            "userInfo": {"username": "alice"},
            "object": obj,
            "dryRun": True,
            **request,
        },
    }


def send(webhook: WebhookProcess, body: bytes | dict[str, Any]) -> Reply:
    """Post one body to /validate."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection = webhook.https()
    try:
        connection.request("POST", "/validate?timeout=5s", body=data)
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, headers, answer.read())
    finally:
        connection.close()
