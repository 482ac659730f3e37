"""The served product on a real API server: called by it, following it, outliving its absence."""

import base64
import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.server.process import ServerProcess
from tests.server.test_snapshot_serving import SERVE

pytestmark = pytest.mark.controlplane

NAME = "headroom-server-test"
LABEL = "headroom-server-test"


class Serving:
    """A server process, its namespace, its policy and its webhook configuration."""

    def __init__(self, cluster: ControlPlane, process: ServerProcess, home: str) -> None:
        self.cluster = cluster
        self.process = process
        self.home = home

    def put_policy(self, text: str) -> None:
        self.cluster.apply(_policy(self.home, text))

    def register(self) -> None:
        """Put the webhook configuration in place, without a caBundle: that is the server's."""
        self.cluster.apply(_configuration(self.process.port))

    def create(self, namespace: str, **resources: Any) -> str:
        """Try a pod; what kubectl said."""
        done = self.cluster.apply(_pod(namespace, resources), check=False)
        return done.stdout + done.stderr

    def bundle(self) -> bytes:
        found = self.cluster.get("validatingwebhookconfiguration", NAME)
        text: str = found["webhooks"][0]["clientConfig"].get("caBundle", "")
        return base64.b64decode(text)


def _policy(home: str, text: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "kube-headroom-policy", "namespace": home},
        "data": {"policy.yaml": text},
    }


def _configuration(port: int) -> dict[str, Any]:
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["pods"],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": NAME},
        "webhooks": [
            {
                "name": "workloads.kube-headroom.io",
                "clientConfig": {"url": f"https://127.0.0.1:{port}/validate"},
                "admissionReviewVersions": ["v1"],
                "sideEffects": "NoneOnDryRun",
                "timeoutSeconds": 5,
                "failurePolicy": "Fail",
                "namespaceSelector": {"matchLabels": {LABEL: "yes"}},
                "rules": [rule],
            }
        ],
    }


def _pod(namespace: str, resources: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"p-{time.monotonic_ns()}", "namespace": namespace},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]},
    }  # fmt: skip


@pytest.fixture(scope="module")
def serving(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    home = control_plane.namespace("headroom")
    flags = [
        f"--kubeconfig={control_plane.kubeconfig}",
        f"--namespace={home}",
        f"--webhook-configuration={NAME}",
        "--extra-names=127.0.0.1",
        "--drain-quiet-seconds=0",
        "--promise-seconds=2",
    ]
    folder: Path = tmp_path_factory.mktemp("real")
    unused = ssl.create_default_context()
    with ServerProcess([*SERVE, *flags], folder, unused) as process:
        yield Serving(control_plane, process, home)
    control_plane.kubectl("delete", "validatingwebhookconfiguration", NAME, "--ignore-not-found")


@pytest.fixture(scope="module")
def namespace(serving: Serving) -> str:
    return serving.cluster.namespace("judged", labels={LABEL: "yes"})


def _readyz(serving: Serving) -> str:
    return serving.process.side("/readyz?verbose").body.decode()


def test_without_a_policy_it_is_not_ready_and_says_so(serving: Serving) -> None:
    wait_until(lambda: "[+] watches" in _readyz(serving), 20, "the watches")
    assert serving.process.side("/readyz").status == 503
    assert "[-] policy: no" in _readyz(serving)
    serving.put_policy("headrom: {}\n")
    wait_until(lambda: "did you mean" in _readyz(serving), 5, "the policy's fault")


def test_with_a_policy_and_its_authority_published_it_is_ready(serving: Serving) -> None:
    serving.register()
    serving.put_policy("mode: enforce\n")
    wait_until(lambda: serving.process.side("/readyz").status == 200, 15, "readiness")
    assert wait_until(serving.bundle, 15, "the caBundle").startswith(b"-----BEGIN CERTIFICATE")


def test_the_api_server_asks_it(serving: Serving, namespace: str) -> None:
    small = {"cpu": "10m", "memory": "16Mi"}
    wait_until(
        lambda: "denied the request" in serving.create(namespace), 15, "the webhook in effect"
    )
    refused = serving.create(namespace)
    assert all(f"[HR10{n}]" in refused for n in (1, 2, 3, 4)), refused
    assert "created" in serving.create(namespace, requests=small, limits=small)


def test_a_policy_edit_is_live_within_five_seconds(serving: Serving, namespace: str) -> None:
    serving.put_policy("mode: warn\n")
    wait_until(lambda: "created" in serving.create(namespace), 5, "mode warn")
    serving.put_policy("mode: nonsense\n")
    wait_until(
        lambda: any(one["message"] == "unusable policy" for one in serving.process.log()[-5:]),
        5,
        "the bad policy seen",
    )
    assert "created" in serving.create(namespace)
    assert serving.process.side("/readyz").status == 200
    serving.put_policy("mode: enforce\n")
    wait_until(lambda: "denied" in serving.create(namespace), 5, "mode enforce")


def test_a_lost_ca_bundle_is_put_back(serving: Serving, namespace: str) -> None:
    before = serving.bundle()
    patch = [{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]
    serving.cluster.kubectl(
        "patch", "validatingwebhookconfiguration", NAME, "--type=json", f"-p={json.dumps(patch)}"
    )
    assert wait_until(serving.bundle, 15, "the caBundle") == before
    wait_until(lambda: "denied" in serving.create(namespace), 10, "reviews again")


@pytest.mark.parametrize("end", ["stop_apiserver", "kill_apiserver"])
def test_it_outlives_the_api_server_and_follows_it_again(
    serving: Serving, namespace: str, end: str
) -> None:
    """Alive all the time; judging again within 10 s of the API server's own readiness."""
    getattr(serving.cluster, end)()
    assert serving.process.side("/livez").status == 200
    serving.cluster.start_apiserver()
    began = time.monotonic()
    small = {"cpu": "10m", "memory": "16Mi"}
    wait_until(
        lambda: "created" in serving.create(namespace, requests=small, limits=small), 10, "a pod"
    )
    # Promised a moment ago: gone from the ledger once the watch has shown the pod.
    wait_until(lambda: _promises(serving) == 0, 10 - (time.monotonic() - began), "the pod's event")
    wait_until(lambda: serving.process.side("/readyz").status == 200, 1, "readiness")
    assert serving.process.process.poll() is None


def test_a_promise_that_came_to_nothing_is_dropped(serving: Serving) -> None:
    """A quota refuses what we allowed: no event ever tells, so the version proves it."""
    judged = serving.cluster.namespace("quota", labels={LABEL: "yes"})
    elsewhere = serving.cluster.namespace("elsewhere")
    serving.cluster.kubectl("create", "quota", "none", "--hard=pods=0", "-n", judged)
    small = {"cpu": "10m", "memory": "16Mi"}

    def refused_behind_us() -> bool:
        refused = "exceeded quota" in serving.create(judged, requests=small, limits=small)
        return refused and _promises(serving) >= 1

    wait_until(refused_behind_us, 30, "the quota's refusal, and a promise that is left of it")

    def dropped_after_an_event() -> bool:
        serving.create(elsewhere)
        return _promises(serving) == 0

    wait_until(dropped_after_an_event, 20, "the promise's end", poll_seconds=1)


def _promises(serving: Serving) -> float:
    text = serving.process.side("/metrics").body.decode()
    series = "kube_headroom_open_promises "
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(series))


def test_sigterm_ends_it(serving: Serving) -> None:
    """Last in this file: the module's server is gone afterwards."""
    serving.process.terminate()
    assert serving.process.wait() == 0
