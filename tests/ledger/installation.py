"""Three real replicas over one real control plane, behind one address, with one shared ledger.

The chart's account and rights, and processes that differ only in their ports; they share one
certificate, given by file.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.chart.render import objects, policy_config_map, webhook_configuration
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.programs import Launcher, Program, free_port
from tests.controlplane.waiting import wait_until
from tests.e2e.figures import Figures
from tests.e2e.rights import kubeconfig_of_account, rights_of
from tests.e2e.webhook import ENVIRONMENT, SERVE
from tests.ledger.forwarders import Service

VALUES = {"ledger": {"shared": True}}
LOOK_SECONDS = 1.0


class ReplicaProcess:
    """One process; `url` is another way to the API server than the straight one."""

    def __init__(self, name: str, cluster: ControlPlane, launcher: Launcher, folder: Path) -> None:
        self.name, self.port, self.metrics_port = name, free_port(), free_port()
        self.ready = False
        self._cluster, self._launcher, self._folder = cluster, launcher, folder
        self.program: Program | None = None

    def start(self, command: Sequence[str | Path]) -> None:
        """Start it for the first time."""
        log = self._cluster.folder / f"{self.name}.log"
        self.program = Program(self.name, command, self._launcher, log)
        self.program.start()

    def restart(self) -> None:
        """Kill it, and start it again."""
        assert self.program is not None
        self.program.kill()
        self.ready = False
        self.program.start()

    def get(self, path: str) -> tuple[int, str]:
        """Ask its side port; status 0 when nobody answers."""
        connection = HTTPConnection("127.0.0.1", self.metrics_port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def figures(self) -> Figures:
        """Return its metrics."""
        status, text = self.get("/metrics")
        assert status == 200, f"/metrics: {status}"
        return Figures.read(text)


class Installation:
    """As many replicas as wanted, the webhook configuration that leads to them, and their ledger."""

    def __init__(
        self,
        cluster: ControlPlane,
        count: int = 3,
        *,
        arguments: Sequence[str] = (),
        urls: dict[int, str] | None = None,
        only_namespaces: Sequence[str] = (),
    ) -> None:
        self.cluster, self.release = cluster, f"kube-headroom-{secrets.token_hex(3)}"
        self.namespace = cluster.namespace("guard")
        self._arguments, self._urls = tuple(arguments), urls or {}
        self._only = tuple(only_namespaces)
        self._stack = ExitStack()
        self._launcher = Launcher((), {**ENVIRONMENT, "HOME": str(cluster.folder)})
        self._stack.callback(self._launcher.close)
        self.replicas = [
            ReplicaProcess(f"{self.release}-{number}", cluster, self._launcher, cluster.folder)
            for number in range(count)
        ]
        self._over = threading.Event()

    @property
    def ledger_name(self) -> str:
        """The name of the ledger's ConfigMap."""
        return f"{self.release}-ledger"

    def __enter__(self) -> Self:
        try:
            self._install()
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
        """Remove what others could meet, and end the processes."""
        self._over.set()
        kinds = "validatingwebhookconfiguration,clusterrole,clusterrolebinding"
        self.cluster.kubectl("delete", kinds, self.release, "--ignore-not-found")
        for replica in self.replicas:
            if replica.program is not None:
                replica.program.kill()
        self._stack.close()
        self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")

    def wait_ready(self, seconds: float = 60) -> None:
        """Wait until all replicas are."""

        def all_ready() -> bool:
            for replica in self.replicas:
                assert replica.program is not None
                replica.program.assert_running()
            missing = [each.get("/readyz") for each in self.replicas]
            assert all(status == 200 for status, _ in missing), missing
            return True

        wait_until(all_ready, seconds, "all replicas to be ready")

    def wait_at_rest(self, committed: int = 0, seconds: float = 60) -> None:
        """Wait until no replica holds more memory than this, nor a promise."""

        def at_rest() -> bool:
            held = [(each.figures().committed(), each.figures().promises) for each in self.replicas]
            assert held == [(committed, 0)] * len(held), held
            return True

        wait_until(at_rest, seconds, "the books to be as the cluster is")

    def total(self, name: str) -> int:
        """Return a counter's sum over all replicas."""
        return int(sum(each.figures().total(name) for each in self.replicas))

    def _install(self) -> None:
        cluster = self.cluster
        rendered = objects(VALUES, namespace=self.namespace, release=self.release)
        cluster.apply(rights_of(rendered, frozenset()))
        cluster.apply(policy_config_map(namespace=self.namespace, release=self.release))
        pair = cluster.ca.issue_server(self.release, ("127.0.0.1",))
        for number, replica in enumerate(self.replicas):
            replica.start(self._command(number, replica, pair.cert_path, pair.key_path))
        self.wait_ready()
        threading.Thread(target=self._look, daemon=True).start()
        by_port = {replica.port: replica for replica in self.replicas}
        ports = tuple(by_port)
        service = self._stack.enter_context(Service(ports, lambda port: by_port[port].ready))
        configuration = webhook_configuration(
            f"https://127.0.0.1:{service.port}/validate",
            cluster.ca_pem.encode(),
            namespace=self.namespace,
            release=self.release,
            only_namespaces=self._only,
            # Everything here shares two cores, or fewer: the machine is slow, not the protocol.
            webhook={"timeoutSeconds": 10},
        )
        cluster.apply(configuration)

    def _look(self) -> None:
        """Probe, as a kubelet does."""
        while not self._over.wait(LOOK_SECONDS):
            for replica in self.replicas:
                replica.ready = replica.get("/readyz")[0] == 200

    def _command(
        self, number: int, replica: ReplicaProcess, cert: Path, key: Path
    ) -> tuple[str | Path, ...]:
        config = kubeconfig_of_account(
            self.cluster, self.release, self.namespace, self.cluster.folder / replica.name
        )
        if number in self._urls:
            _redirect(config, self._urls[number])
        return (
            SERVE,
            "serve",
            "--bind-address=127.0.0.1",
            f"--port={replica.port}",
            "--metrics-bind-address=127.0.0.1",
            f"--metrics-port={replica.metrics_port}",
            f"--kubeconfig={config}",
            f"--namespace={self.namespace}",
            f"--policy-configmap={self.release}-policy",
            f"--service-name={self.release}",
            f"--ledger-configmap={self.ledger_name}",
            f"--tls-cert-file={cert}",
            f"--tls-key-file={key}",
            *self._arguments,
        )


def _redirect(config: Path, url: str) -> None:
    """Let a kubeconfig lead another way."""
    text: dict[str, Any] = yaml.safe_load(config.read_text())
    text["clusters"][0]["cluster"] = {"server": url}
    config.write_text(yaml.safe_dump(text))
