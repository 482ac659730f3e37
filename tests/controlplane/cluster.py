"""A real control plane as a context manager: what a test does to it and asks of it.

    with ControlPlane() as cluster:
        cluster.add_nodes(3)
        cluster.apply(manifest)

How the programs are started is in `stack.py`; this is the view from outside.
"""

from __future__ import annotations

import json
import secrets
import shutil
import ssl
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2
import yaml

from tests.controlplane.build import Binaries, obtain
from tests.controlplane.certificates import Authority, IssuedPair
from tests.controlplane.kubeconfig import write_kubeconfig
from tests.controlplane.nodes import NodeShape, Taint, is_ready
from tests.controlplane.options import Options
from tests.controlplane.shell import Done
from tests.controlplane.stack import Stack
from tests.controlplane.waiting import wait_until

Manifest = str | Mapping[str, Any] | Sequence[Mapping[str, Any]]


class ControlPlane:
    """etcd, kube-apiserver, controllers, scheduler and kwok, in a temporary folder."""

    def __init__(self, options: Options | None = None, binaries: Binaries | None = None) -> None:
        self.options = options or Options()
        self.binaries = binaries or obtain()
        self.folder = Path(tempfile.mkdtemp(prefix="control-plane-"))
        self.stack = Stack(self.options, self.binaries, self.folder)
        self.ca: Authority = self.stack.ca
        self.admin: IssuedPair = self.stack.admin
        self.kubeconfig: Path = self.stack.kubeconfig
        self.url: str = self.stack.url
        self._node_numbers: dict[str, int] = {}

    def __enter__(self) -> Self:
        try:
            self.stack.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every program and remove the folder."""
        self.stack.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # Who one is

    @property
    def ca_file(self) -> Path:
        """The CA certificate that signed the API server's, as a file."""
        return self.ca.ca_file

    @property
    def ca_pem(self) -> str:
        """The CA certificate as text."""
        return self.ca.ca_pem

    @property
    def admin_cert(self) -> Path:
        """The administrator's client certificate."""
        return self.admin.cert_path

    @property
    def admin_key(self) -> Path:
        """The administrator's private key."""
        return self.admin.key_path

    def kubeconfig_for(self, name: str, groups: Iterable[str] = ()) -> Path:
        """Return a kubeconfig of the user `name`, member of `groups`."""
        client = self.ca.issue_client(name, groups)
        path = client.cert_path.with_suffix(".kubeconfig")
        return write_kubeconfig(path, url=self.url, ca_file=self.ca_file, client=client)

    def client(self, **settings: Any) -> httpx2.Client:
        """Return an HTTP client that is the administrator; the caller closes it."""
        trust = ssl.create_default_context(cafile=str(self.ca_file))
        trust.load_cert_chain(self.admin_cert, self.admin_key)
        return httpx2.Client(
            **{"base_url": self.url, "verify": trust, "trust_env": False, "timeout": 60, **settings}
        )

    # What one does

    def kubectl(
        self,
        *args: str | Path,
        input: str | None = None,  # noqa: A002 -- the word subprocess uses
        check: bool = True,
        timeout: float = 60,
        kubeconfig: Path | None = None,
    ) -> Done:
        """Run kubectl, as the administrator unless another kubeconfig is given."""
        program, config = self.binaries.programs["kubectl"], kubeconfig or self.kubeconfig
        command = (program, "--kubeconfig", config, *args)
        return self.stack.shell.run(command, text=input, check=check, timeout=timeout)

    def helm(self, *args: str | Path, check: bool = True, timeout: float = 300) -> Done:
        """Run helm as the administrator."""
        command = (self.binaries.programs["helm"], "--kubeconfig", self.kubeconfig, *args)
        return self.stack.shell.run(command, check=check, timeout=timeout)

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
        """Return one object; CommandError when it is not there."""
        return self._json("get", kind, name, *_in(namespace))

    def objects(self, kind: str, namespace: str | None = None, *args: str) -> list[dict[str, Any]]:
        """Return the objects of a kind, in all namespaces unless one is named."""
        where = _in(namespace) or ("--all-namespaces",)
        items: list[dict[str, Any]] = self._json("get", kind, *where, *args)["items"]
        return items

    def apply(self, manifest: Manifest, *args: str, check: bool = True) -> Done:
        """Apply YAML text, one object, or several, with kubectl."""
        return self.kubectl("apply", "-f", "-", *args, input=_text(manifest), check=check)

    def namespace(self, prefix: str = "test", labels: Mapping[str, str] | None = None) -> str:
        """Create a namespace of a new name, wait until pods can be made in it, return its name."""
        name = f"{prefix}-{secrets.token_hex(4)}"
        metadata = {"name": name, "labels": dict(labels or {})}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        if self.options.start_controller_manager:
            # After the API server was away, controllers come back with up to 30 s between attempts.
            wait_until(
                lambda: self.get("serviceaccount", "default", name), 90, f"{name}'s ServiceAccount"
            )
        return name

    def add_nodes(
        self,
        count: int,
        *,
        cpu: str = "4",
        memory: str = "7957Mi",
        pods: int = 110,
        labels: Mapping[str, str] | None = None,
        taints: Sequence[Taint] = (),
        prefix: str = "node",
        more: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Create nodes that kwok plays, wait until pods can be placed on them, return the names."""
        shape = NodeShape(cpu, memory, pods, labels or {}, taints, more or {})
        first = self._node_numbers.get(prefix, 0)
        self._node_numbers[prefix] = first + count
        names = [f"{prefix}-{number}" for number in range(first, first + count)]
        manifests = [shape.manifest(name) for name in names]
        self.kubectl("create", "-f", "-", input=_text(manifests), timeout=60 + count)
        if self.options.start_kwok and self.options.start_controller_manager:
            self.wait_for_nodes(names)
        return names

    def wait_for_nodes(self, names: Iterable[str], timeout: float = 60) -> None:
        """Wait until all these nodes are Ready and free of the not-ready taint."""
        wanted = set(names)

        def all_ready() -> bool:
            self.stack.assert_running()
            ready = {n["metadata"]["name"] for n in self.objects("nodes") if is_ready(n)}
            assert wanted <= ready, f"not ready: {sorted(wanted - ready)}"
            return True

        wait_until(all_ready, timeout + len(wanted) / 10, "nodes to be Ready")

    def delete_nodes(self, names: Iterable[str]) -> None:
        """Delete nodes, as if the machines had been handed back."""
        self.kubectl("delete", "node", *names)

    # What one does to it

    def stop_apiserver(self) -> None:
        """End the API server in good order (SIGTERM)."""
        self.stack.apiserver.stop()

    def kill_apiserver(self) -> None:
        """Kill the API server (SIGKILL)."""
        self.stack.apiserver.kill()

    def start_apiserver(self) -> None:
        """Start the API server again, on its old port, and wait until it is ready."""
        self.stack.start_apiserver()

    def pause_etcd(self) -> None:
        """Let etcd hang, as a stalled disk does."""
        self.stack.etcd.pause()

    def resume_etcd(self) -> None:
        """Let etcd go on."""
        self.stack.etcd.resume()

    def _json(self, *args: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.kubectl(*args, "-o", "json").stdout)
        return answer


def _in(namespace: str | None) -> tuple[str, ...]:
    return () if namespace is None else ("--namespace", namespace)


def _text(manifest: Manifest) -> str:
    if isinstance(manifest, str):
        return manifest
    if isinstance(manifest, Mapping):
        return yaml.safe_dump(dict(manifest))
    return yaml.safe_dump_all([dict(one) for one in manifest])
