"""The test control plane is a real one: it schedules, refuses to place, and remembers."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.options import Options
from tests.controlplane.programs import ProgramError
from tests.controlplane.waiting import wait_until

pytestmark = pytest.mark.controlplane

FITS = {"cpu": "100m", "memory": "64Mi"}
FITS_NOWHERE = {"cpu": "64", "memory": "64Mi"}


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    name = control_plane.namespace("selfcheck")
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


def pod_spec(requests: dict[str, str]) -> dict[str, Any]:
    container = {"name": "web", "image": "example.invalid/web", "resources": {"requests": requests}}
    return {"containers": [container]}


def pod(name: str, namespace: str, requests: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": pod_spec(requests),
    }


def deployment(namespace: str, replicas: int) -> dict[str, Any]:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": pod_spec(FITS)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


def phases(cluster: ControlPlane, namespace: str) -> list[str]:
    return [one["status"]["phase"] for one in cluster.objects("pods", namespace)]


def test_kubectl_and_server_are_the_pinned_version(control_plane: ControlPlane) -> None:
    """Client and server call themselves v1.36.3, so charts and kubectl check the right one."""
    version = control_plane.kubectl("version").stdout
    assert version.count("v1.36.3") == 2
    assert control_plane.helm("version", "--short").stdout.startswith("v4.3.1")


def test_a_deployment_gets_its_pods(control_plane: ControlPlane, namespace: str) -> None:
    """A Deployment of 3 has 3 Running pods, placed by the scheduler; deleted, they go."""
    control_plane.apply(deployment(namespace, replicas=3))
    wait_until(lambda: phases(control_plane, namespace) == ["Running"] * 3, 30, "3 Running pods")

    control_plane.kubectl("delete", "deployment", "web", "--namespace", namespace)
    wait_until(lambda: not phases(control_plane, namespace), 30, "the pods to be gone")


def test_an_unschedulable_pod_stays_pending(control_plane: ControlPlane, namespace: str) -> None:
    """A pod larger than every node is Pending, with the scheduler's word on it."""
    control_plane.apply(pod("giant", namespace, FITS_NOWHERE))

    def refusal() -> dict[str, Any] | None:
        found = control_plane.get("pod", "giant", namespace)["status"].get("conditions", [])
        return next((one for one in found if one["type"] == "PodScheduled"), None)

    condition = wait_until(refusal, 30, "the scheduler's refusal")
    assert (condition["status"], condition["reason"]) == ("False", "Unschedulable")
    assert "Insufficient cpu" in condition["message"]
    assert phases(control_plane, namespace) == ["Pending"]


def test_nodes_offer_what_was_asked_for(control_plane: ControlPlane) -> None:
    """kwok leaves allocatable, labels and taints as they were given."""
    taint = {"key": "dedicated", "value": "batch", "effect": "NoSchedule"}
    names = control_plane.add_nodes(
        1, cpu="3910m", memory="15Gi", pods=58, labels={"zone": "a"}, taints=[taint], prefix="big"
    )
    try:
        node = control_plane.get("node", names[0])
        assert node["status"]["allocatable"] == {"cpu": "3910m", "memory": "15Gi", "pods": "58"}
        assert node["metadata"]["labels"]["zone"] == "a"
        assert node["spec"]["taints"] == [taint]
    finally:
        control_plane.delete_nodes(names)


def test_users_are_who_their_certificate_says(control_plane: ControlPlane) -> None:
    """A certificate's common name and organisations are the user and groups of RBAC."""
    kubeconfig = control_plane.kubeconfig_for("alice", ["team-a", "team-b"])
    done = control_plane.kubectl("auth", "whoami", "-o", "json", kubeconfig=kubeconfig)
    assert '"username": "alice"' in done.stdout
    assert '"team-b"' in done.stdout
    refused = control_plane.kubectl("get", "nodes", check=False, kubeconfig=kubeconfig)
    assert "Forbidden" in refused.stderr


def test_raw_requests_reach_the_server(control_plane: ControlPlane) -> None:
    """The HTTP client is the administrator."""
    with control_plane.client() as client:
        assert client.get("/version").json()["gitVersion"] == "v1.36.3"


def test_data_survives_the_api_server(control_plane: ControlPlane, namespace: str) -> None:
    """Stopped in good order or killed, the API server comes back on its port with all objects."""
    control_plane.apply(pod("lasting", namespace, FITS))
    uid = control_plane.get("pod", "lasting", namespace)["metadata"]["uid"]
    for end in (control_plane.stop_apiserver, control_plane.kill_apiserver):
        end()
        assert "refused" in control_plane.kubectl("get", "nodes", check=False).stderr
        control_plane.start_apiserver()
        assert control_plane.get("pod", "lasting", namespace)["metadata"]["uid"] == uid


def test_a_paused_etcd_stalls_writes_until_it_is_resumed(
    control_plane: ControlPlane, namespace: str
) -> None:
    """While etcd hangs a write gets no answer; resumed, the cluster works again."""
    control_plane.pause_etcd()
    try:
        stalled = control_plane.kubectl(
            "create", "configmap", "late", "-n", namespace, "--request-timeout=2s", check=False
        )
        assert stalled.returncode != 0
    finally:
        control_plane.resume_etcd()
    wait_until(
        lambda: control_plane.kubectl("get", "--raw=/readyz", check=False).returncode == 0,
        60,
        "the API server to be ready again",
    )
    control_plane.kubectl("create", "configmap", "after", "-n", namespace)


def test_a_program_that_cannot_start_shows_its_log(control_plane: ControlPlane) -> None:
    """A refused flag fails at once with the API server's own words."""
    options = Options(apiserver_args=("--no-such-flag",))
    broken = ControlPlane(options, control_plane.binaries)
    with (
        pytest.raises(ProgramError, match=r"(?s)kube-apiserver ended with 1.*no-such-flag"),
        broken,
    ):
        pytest.fail("it started")
    assert not broken.folder.exists()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "killed"])
def test_nothing_outlives_the_process_that_started_it(end: signal.Signals) -> None:
    """A runner that is interrupted, or killed without a chance to tidy up, leaves no program."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.controlplane.run", "--nodes", "1"],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as runner:
        assert runner.stdout is not None
        folder = Path(runner.stdout.readline().removeprefix("export KUBECONFIG=").strip()).parent
        children = children_of(runner.pid)
        runner.send_signal(end)
    assert len(children) == 5
    wait_until(lambda: not any(map(is_alive, children)), 30, "its programs to end")
    assert folder.exists() == (end is signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def is_alive(pid: int) -> bool:
    """Whether the process exists and is no zombie that nobody has collected yet."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
