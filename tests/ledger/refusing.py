"""A second webhook, somebody else's, that refuses everything it is asked about."""

from __future__ import annotations

import base64
import http.server
import json
import ssl
import threading
from typing import Any, Self

from tests.controlplane.cluster import ControlPlane

WORDS = "refused by the other webhook"


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 100


class _Refusal(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # a handshake for every review would be slow

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        uid = review["request"]["uid"]
        response = {"uid": uid, "allowed": False, "status": {"message": WORDS}}
        body = json.dumps({**review, "request": None, "response": response}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class OtherWebhook:
    """Asked about one namespace's creates of pods and about its scales."""

    def __init__(self, cluster: ControlPlane, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace
        pair = cluster.ca.issue_server("other-webhook", ["127.0.0.1"])
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pair.cert_path, pair.key_path)
        self._server = _Server(("127.0.0.1", 0), _Refusal)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._cluster.apply(self._configuration())
        return self

    def __exit__(self, *_: object) -> None:
        kind = "validatingwebhookconfiguration"
        self._cluster.kubectl("delete", kind, self._namespace, "--ignore-not-found")
        self._server.shutdown()
        self._server.server_close()

    def _configuration(self) -> dict[str, Any]:
        bundle = base64.b64encode(self._cluster.ca_pem.encode()).decode()
        url = f"https://127.0.0.1:{self._server.server_port}/"
        where = {"kubernetes.io/metadata.name": self._namespace}
        webhook = {
            "name": "other.example.com",
            "clientConfig": {"url": url, "caBundle": bundle},
            "rules": [_rule("", "pods", "CREATE"), _rule("apps", "deployments/scale", "UPDATE")],
            "namespaceSelector": {"matchLabels": where},
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "failurePolicy": "Fail",
        }
        return {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": self._namespace},
            "webhooks": [webhook],
        }


def _rule(group: str, resource: str, operation: str) -> dict[str, list[str]]:
    return {
        "apiGroups": [group],
        "apiVersions": ["v1"],
        "resources": [resource],
        "operations": [operation],
    }
