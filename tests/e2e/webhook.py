"""The real `kube-headroom serve` before a real API server, as the chart would install it.

    with WebhookProcess(cluster, policy={"mode": "warn"}) as webhook:
        cluster.apply(manifest)

The chart's account, rights, policy ConfigMap and webhook configuration are applied; only the way to
the process differs: a URL on loopback in place of the Service. It publishes its own authority.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import ssl
import sys
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

import kube_headroom
from kube_headroom.policy.load import load_policy, policy_hash
from tests.chart.render import Object, Values, objects, policy_config_map, webhook_configuration
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.programs import Launcher, Program, free_port
from tests.controlplane.waiting import wait_until
from tests.e2e.figures import Figures
from tests.e2e.rights import kubeconfig_of_account, rights_of

# A namespace with this label belongs to a webhook of its own: the others leave it alone.
OWN_WEBHOOK = "e2e.kube-headroom.io/own-webhook"
SERVE = Path(sys.executable).parent / "kube-headroom"
# The process runs the very code that the tests import.
SOURCE = Path(kube_headroom.__file__).parents[1]
ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(SOURCE)}


class WebhookProcess:
    """One installed webhook; `only_namespaces` keeps it from judging any other namespace.

    `withheld` resources it may not see, so that it never becomes ready.
    """

    def __init__(
        self,
        cluster: ControlPlane,
        *,
        policy: Values | None = None,
        only_namespaces: Sequence[str] = (),
        arguments: Sequence[str] = (),
        withheld: Sequence[str] = (),
    ) -> None:
        self.cluster = cluster
        self.release = f"kube-headroom-{secrets.token_hex(3)}"
        self.namespace = cluster.namespace("guard")
        self.port, self.metrics_port = free_port(), free_port()
        self._policy, self._only = policy, tuple(only_namespaces)
        self._arguments, self._withheld = tuple(arguments), frozenset(withheld)
        self._launcher = Launcher((), {**ENVIRONMENT, "HOME": str(cluster.folder)})
        self._program: Program | None = None
        self._trust: ssl.SSLContext | None = None

    # The installation

    def __enter__(self) -> Self:
        try:
            self.install()
            self.start()
            if not self._withheld:
                self.wait_ready()
            self.wait_acting()
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

    @property
    def policy_name(self) -> str:
        """The name of its policy ConfigMap."""
        return f"{self.release}-policy"

    def install(self) -> None:
        """Put everything in place but the process."""
        rendered = objects(namespace=self.namespace, release=self.release)
        self.cluster.apply(rights_of(rendered, self._withheld))
        self.cluster.apply(self.policy_manifest(self._policy))
        self.register()

    def register(self) -> None:
        """Apply its webhook configuration, without an authority as the chart leaves it."""
        configuration = webhook_configuration(
            f"https://127.0.0.1:{self.port}/validate",
            b"",
            namespace=self.namespace,
            release=self.release,
            only_namespaces=self._only,
        )
        for webhook in configuration["webhooks"]:
            del webhook["clientConfig"]["caBundle"]
        if not self._only:
            selector = configuration["webhooks"][0]["namespaceSelector"]
            selector["matchExpressions"].append({"key": OWN_WEBHOOK, "operator": "DoesNotExist"})
        self.cluster.apply(configuration)

    def unregister(self) -> None:
        """Open the cluster: the documented command."""
        self.cluster.kubectl("delete", "validatingwebhookconfiguration", self.release)

    def close(self) -> None:
        """Remove everything that others could meet, and end the process."""
        kinds = "validatingwebhookconfiguration,clusterrole,clusterrolebinding"
        self.cluster.kubectl("delete", kinds, self.release, "--ignore-not-found")
        if self._program is not None:
            self._program.kill()
        self._launcher.close()
        self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")

    # The process

    @property
    def program(self) -> Program:
        """The process; the command line is the chart's."""
        if self._program is None:
            self._program = Program(
                self.release, self._command(), self._launcher, self.cluster.folder / self.log_name
            )
        return self._program

    @property
    def log_name(self) -> str:
        """The name of its log in the cluster's folder."""
        return f"{self.release}.log"

    def start(self) -> None:
        """Start the process, again on its port, with a certificate of its own."""
        self._trust = None
        self.program.start()

    def stop(self) -> None:
        """End it in good order: it drains first."""
        self.program.stop()

    def kill(self) -> None:
        """End it at once."""
        self.program.kill()

    def pause(self) -> None:
        """Let it hang."""
        self.program.pause()

    def resume(self) -> None:
        """Let it go on."""
        self.program.resume()

    def logs(self) -> list[dict[str, Any]]:
        """Return its log lines."""
        text = self.program.log.read_text(errors="replace")
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def decisions(self, **fields: object) -> list[dict[str, Any]]:
        """Return what it decided, with these fields."""
        return [
            line
            for line in self.logs()
            if line["message"] == "decision" and fields.items() <= line.items()
        ]

    def _command(self) -> tuple[str | Path, ...]:
        config = kubeconfig_of_account(
            self.cluster, self.release, self.namespace, self.cluster.folder / self.release
        )
        return (
            SERVE,
            "serve",
            "--bind-address=127.0.0.1",
            f"--port={self.port}",
            "--metrics-bind-address=127.0.0.1",
            f"--metrics-port={self.metrics_port}",
            f"--kubeconfig={config}",
            f"--namespace={self.namespace}",
            f"--policy-configmap={self.policy_name}",
            f"--service-name={self.release}",
            f"--webhook-configuration={self.release}",
            "--extra-names=127.0.0.1",
            "--log-level=debug",  # what is allowed without a word is looked for, too
            *self._arguments,
        )

    # Its ports

    def https(self, timeout: float = 30) -> HTTPSConnection:
        """Return a connection of somebody who trusts what it published, as the API server does."""
        if self._trust is None:  # asked once: later the API server may be down
            stored = self.cluster.get("validatingwebhookconfiguration", self.release)
            bundle = base64.b64decode(stored["webhooks"][0]["clientConfig"]["caBundle"])
            self._trust = ssl.create_default_context(cadata=bundle.decode())
        return HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self._trust)

    def get(self, path: str) -> tuple[int, str]:
        """Ask its side port; status 0 when nobody listens there."""
        connection = HTTPConnection("127.0.0.1", self.metrics_port, timeout=20)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except ConnectionError:
            return 0, ""
        finally:
            connection.close()

    def metrics(self) -> Figures:
        """Return its figures now."""
        status, text = self.get("/metrics")
        assert status == 200, f"/metrics: {status} {self.program.tail()}"
        return Figures.read(text)

    def is_ready(self) -> bool:
        """Tell whether it is ready to be asked."""
        return self.get("/readyz")[0] == 200

    def wait_ready(self, seconds: float = 30) -> None:
        """Wait until it is ready."""

        def ready() -> bool:
            self.program.assert_running()
            status, text = self.get("/readyz")
            assert status == 200, f"{status} {text}{self.program.tail(10)}"
            return True

        wait_until(ready, seconds, "the webhook to be ready")

    def assert_sound(self) -> None:
        """Fail when any review ended in a bug of ours, with the log."""
        bugs = self.metrics().total("kube_headroom_http_rejections_total", reason="internal_error")
        assert bugs == 0, self.program.tail()

    def wait_forgotten(self) -> None:
        """Wait until it holds nothing for anybody: what a test left would leak into the next."""

        def nothing() -> bool:
            figures = self.metrics()
            held = (figures.committed(), figures.committed("pods"))
            assert not any(held), f"bytes and pods held: {held}"
            return True

        wait_until(nothing, 90, "the book to be empty")

    def wait_acting(self, seconds: float = 30) -> None:
        """Wait until the API server asks it: a broken policy, in a dry run, is the marker.

        It works in every mode, and its entry comes into force together with that of workloads.
        """
        marker = self.policy_manifest("mode: marker\n")

        def refused() -> bool:
            done = self.cluster.apply(marker, "--dry-run=server", check=False)
            assert "denied the request" in done.stderr, done.stderr or done.stdout
            return True

        wait_until(refused, seconds, "the API server to ask the webhook")

    # Its policy

    def policy_manifest(self, policy: Values | str | None) -> Object:
        """Return its policy ConfigMap: values are merged into the chart's, text is taken as it is."""
        values = None if isinstance(policy, str) else policy
        manifest = policy_config_map(values, namespace=self.namespace, release=self.release)
        if isinstance(policy, str):
            manifest["data"]["policy.yaml"] = policy
        return manifest

    def set_policy(self, policy: Mapping[str, Any] | str | None = None) -> None:
        """Apply another policy, and wait until it is in force; None is the one it began with."""
        manifest = self.policy_manifest(self._policy if policy is None else policy)
        self.cluster.apply(manifest)
        expected = policy_hash(load_policy(manifest["data"]["policy.yaml"]))
        wait_until(lambda: self.metrics().policy == expected, 10, "the policy to be in force")

    @property
    def policy_text(self) -> str:
        """The policy's text as it is stored."""
        stored = self.cluster.get("configmap", self.policy_name, self.namespace)
        return str(stored["data"]["policy.yaml"])

    def policy_with(self, **changes: object) -> str:
        """Return the stored policy's text with some top-level keys replaced."""
        return yaml.safe_dump({**yaml.safe_load(self.policy_text), **changes})
