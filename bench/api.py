"""A real API server to be loaded: etcd and kube-apiserver alone, and requests as wrk sends them."""

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import yaml

from bench.load import post
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.nodes import NodeShape
from tests.controlplane.options import Options

Json = dict[str, Any]
SIZES: Final = 20
HERE: Final = Path(__file__).parent


class Api:
    """One API server, and a user whom no fairness queue holds back."""

    def __init__(self, cluster: ControlPlane, token: str) -> None:
        self.cluster = cluster
        self._headers = {
            "Host": "127.0.0.1",
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "Content-Type": "application/json",
        }

    def post(self, path: str, body: Json) -> bytes:
        """Return a create as it is sent."""
        return post(path, self._headers, _text(body))

    def namespace(self, name: str, labels: Mapping[str, str] | None = None) -> str:
        """Create a namespace; no controller is there to fill it."""
        metadata = {"name": name, "labels": dict(labels or {})}
        self.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        return name

    def large_node(self) -> None:
        """Create a node with room for all that is created in a run."""
        shape = NodeShape("1000000", "1000Ti", 100_000_000, {}, (), {})
        self.cluster.apply(shape.manifest("large"))

    @property
    def pid(self) -> int:
        """The API server's process."""
        return self.cluster.stack.apiserver.pid


@contextmanager
def api_server() -> Iterator[Api]:
    """Start etcd and an API server without the plugins that wait for controllers."""
    token = secrets.token_hex(16)
    with TemporaryDirectory() as folder:
        tokens = Path(folder) / "tokens.csv"
        tokens.write_text(f'{token},bench,bench,"system:masters"\n')
        options = Options(
            start_controller_manager=False,
            start_scheduler=False,
            start_kwok=False,
            etcd_args=("--quota-backend-bytes=8589934592",),  # a big cluster and its history
            apiserver_args=(
                f"--token-auth-file={tokens}",
                "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
            ),
        )
        with ControlPlane(options) as cluster:
            yield Api(cluster, token)


def pods(namespace: str, count: int, name: str) -> Iterator[Json]:
    """Yield the pod of pod.yaml under different names (# is its number), images and sizes."""
    text = _manifest().replace('"namespace": "shop"', f'"namespace": "{namespace}"')
    for number in range(count):
        own = name.replace("#", str(number))
        changed = (
            text.replace('"name": "web", "namespace"', f'"name": "{own}", "namespace"')
            .replace("web:2.14.0", f"web:2.14.{number}")
            .replace('"memory": "256Mi"', f'"memory": "{160 + number % SIZES * 8}Mi"')
        )
        yield json.loads(changed)


@cache
def _manifest() -> str:
    return json.dumps(yaml.safe_load((HERE / "pod.yaml").read_text()))


def _text(body: Json) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
