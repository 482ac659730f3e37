"""What the test pod runs: it tells what it may do, as one line of JSON, then answers its probe.

Standard library only: the text of this file is handed to `python3 -c` in whatever image is tried.
"""

import errno
import http.client
import http.server
import json
import os
import socket
import ssl
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


def who_am_i() -> dict[str, object]:
    """Ask the API server, at the address every pod is given, whom it takes this pod for."""
    address = (os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"]))
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    connection = http.client.HTTPConnection(*address)
    # The name is checked, not the address: there is no cluster DNS to look the name up in.
    connection.sock = context.wrap_socket(
        socket.create_connection(address, timeout=20), server_hostname="kubernetes.default.svc"
    )
    token = (ACCOUNT / "token").read_text()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    connection.request("POST", REVIEWS, json.dumps(review), headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    return {"address": address[0], "status": answer.status, "review": json.loads(text)}


def write_error() -> str | None:
    """Try to write to the root file system; return the name of what went wrong."""
    try:
        Path("/here").write_text("")
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return None


def status(key: str) -> str:
    """Return a line of what the kernel says about this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split(":", 1)[1].strip() for line in lines if line.startswith(key))


class Probe(http.server.BaseHTTPRequestHandler):
    """Answers everything with OK."""

    def do_GET(self) -> None:
        """Answer the kubelet, or the API server."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"here")

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: the log is the one line below."""


print(
    json.dumps(
        {
            "uid": os.getuid(),
            "write_error": write_error(),
            "capabilities": status("CapEff"),
            "seccomp": status("Seccomp"),
            "api": who_am_i(),
        }
    ),
    flush=True,
)
http.server.ThreadingHTTPServer(("", 8080), Probe).serve_forever()
