"""Record what a real API server sends for pod.yaml, alone and as a Deployment.

`python -m bench.record` needs the tests' control plane. The reviews are kept in the repository: this
is run again when Kubernetes changes what it sends.
"""

import base64
import http.server
import json
import ssl
import threading
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until

HERE = Path(__file__).parent
FOLDER = HERE / "reviews"


class _Recorder(http.server.BaseHTTPRequestHandler):
    """Keeps each review under its kind, and allows it."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        review = json.loads(body)
        request = review["request"]
        (FOLDER / f"{request['kind']['kind'].lower()}.json").write_bytes(body)
        response = {"uid": request["uid"], "allowed": True}
        answer = json.dumps({**review, "request": None, "response": response}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    """Start a control plane, apply the manifests as dry-runs, keep the reviews."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    with ControlPlane() as cluster:
        port = _serve(cluster)
        cluster.apply(_configuration(cluster.ca_pem, port))
        cluster.kubectl("create", "namespace", "shop")
        wait_until(
            lambda: cluster.get("serviceaccount", "default", "shop"), 30, "the default account"
        )
        pod = yaml.safe_load((HERE / "pod.yaml").read_text())
        for manifest in (pod, _deployment(pod)):
            wait_until(partial(_recorded, cluster, manifest), 30, "the API server to call")
    for path in sorted(FOLDER.glob("*.json")):
        print(f"{path.name}: {path.stat().st_size} bytes")


def _recorded(cluster: ControlPlane, manifest: dict[str, Any]) -> bool:
    """Send it; the API server takes a moment until it calls a new webhook."""
    cluster.apply(manifest, "--dry-run=server")
    return (FOLDER / f"{manifest['kind'].lower()}.json").exists()


def _deployment(pod: dict[str, Any]) -> dict[str, Any]:
    labels = pod["metadata"]["labels"]
    name = {"app.kubernetes.io/name": "web"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": pod["metadata"],
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": name},
            "template": {"metadata": {"labels": labels}, "spec": pod["spec"]},
        },
    }


def _serve(cluster: ControlPlane) -> int:
    pair = cluster.ca.issue_server("recorder", ["127.0.0.1"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.cert_path, pair.key_path)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Recorder)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def _configuration(ca_pem: str, port: int) -> dict[str, Any]:
    webhook = {
        "name": "recorder.example.com",
        "clientConfig": {
            "url": f"https://127.0.0.1:{port}/",
            "caBundle": base64.b64encode(ca_pem.encode()).decode(),
        },
        "rules": [
            {
                "apiGroups": [group],
                "apiVersions": ["v1"],
                "resources": [resource],
                "operations": ["CREATE"],
            }
            for group, resource in (("", "pods"), ("apps", "deployments"))
        ],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Fail",
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "recorder"},
        "webhooks": [webhook],
    }


if __name__ == "__main__":
    main()
