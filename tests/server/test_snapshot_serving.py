"""The whole server over a snapshot, with the real reviewer: real reviews and every kind of garbage.

Whatever is sent gets 200, 400 or 413, never a 500, and other reviews go on meanwhile.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane.waiting import wait_until
from tests.server.process import Reply, ServerProcess, Trust, exchange

SERVE = [sys.executable, "-m", "tests.server.product", "serve"]
NODE = """
apiVersion: v1
kind: Node
metadata: {name: n1}
status:
  allocatable: {cpu: "4", memory: 7957Mi, pods: "110", ephemeral-storage: 50Gi}
  conditions: [{type: Ready, status: "True"}]
"""
OTHERS = """
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: q, namespace: shop}
"""


@pytest.fixture(scope="module")
def server(trust: Trust, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("snapshot")
    (folder / "cluster.yaml").write_text(NODE + OTHERS)
    (folder / "policy.yaml").write_text("mode: enforce\n")
    flags = [
        *trust.flags,
        f"--snapshot={folder / 'cluster.yaml'}",
        f"--policy-file={folder / 'policy.yaml'}",
        "--receive-seconds=2",
        "--max-body-bytes=1048576",
        "--drain-quiet-seconds=0",
    ]
    with ServerProcess([*SERVE, *flags], folder, trust.client) as one:
        yield one


def _pod(uid: str = "u1", memory: str = "1Gi", **resources: object) -> dict[str, Any]:
    amounts = {"cpu": "100m", "memory": memory}
    container = {
        "name": "c",
        "image": "i",
        "resources": resources or {"requests": amounts, "limits": amounts},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop", "uid": uid},
        "spec": {"containers": [container]},
    }


def _review(obj: object, **request: object) -> dict[str, Any]:
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "r1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "operation": "CREATE",
            "namespace": "shop",
            "name": "web",
            "userInfo": {"username": "ann"},
            "dryRun": True,
            "object": obj,
            **request,
        },
    }


def _send(server: ServerProcess, review: object) -> Reply:
    return server.review(json.dumps(review).encode(), "?timeout=5s")


def test_a_pod_with_room_is_allowed_and_one_without_is_refused(server: ServerProcess) -> None:
    assert server.side("/readyz").status == 200
    answers = [json.loads(_send(server, _review(_pod(memory=m))).body) for m in ("1Gi", "9Gi")]
    assert [answer["response"]["uid"] for answer in answers] == ["r1", "r1"]
    assert [answer["response"]["allowed"] for answer in answers] == [True, False]
    assert answers[1]["response"]["status"]["code"] == 403


def test_decisions_are_in_log_and_metrics_and_show_nothing_of_the_object(
    server: ServerProcess,
) -> None:
    secret = _pod(uid="u-secret")
    secret["spec"]["containers"][0]["env"] = [{"name": "PASSWORD", "value": "hunter2"}]
    del secret["spec"]["containers"][0]["resources"]["limits"]
    _send(server, _review(secret, uid="r-secret"))
    line = wait_until(
        lambda: next((one for one in server.log() if one.get("uid") == "r-secret"), None),
        5,
        "the decision's line",
    )
    assert (line["outcome"], line["namespace"], line["name"]) == ("deny", "shop", "web")
    assert line["codes"] == ["HR103", "HR104"]
    assert line["dry_run"] is True
    assert "hunter2" not in server.log_path.read_text()
    metrics = server.side("/metrics").body.decode()
    for series in (
        'kube_headroom_decisions_total{kind="Pod",operation="CREATE",outcome="deny"}',
        'kube_headroom_decision_codes_total{code="HR104",effect="enforce"}',
        'kube_headroom_allocatable{basis="requests",resource="memory"} 8.343519232e+09',
        'kube_headroom_headroom{basis="requests",resource="memory"}',
        'kube_headroom_policy_info{hash="',
        "kube_headroom_certificate_expiry_seconds",
        "process_resident_memory_bytes",
    ):
        assert series in metrics


DEEP = b"[" * 100_000
NO_OBJECT = _review(None)
GARBAGE = {
    "empty": (b"", {400}),
    "not JSON": (b"\x00\xff\xfe", {400}),
    "a number": (b"1", {400}),
    "an empty object": (b"{}", {400}),
    "deep arrays": (DEEP, {400}),
    "deep objects": (b'{"a":' * 50_000, {400}),
    "deep in the object": (
        json.dumps(_review("DEEP")).replace('"DEEP"', '{"x":' + "[" * 50_000).encode(),
        {400},
    ),
    "deep and closed in a label": (
        json.dumps(_review("DEEP")).replace(
            '"DEEP"', '{"metadata":{"labels":{"a":' + "[" * 5_000 + "]" * 5_000 + "}}}"
        ).encode(),
        {200, 400},
    ),
    "invalid UTF-8": (json.dumps(_review(_pod())).encode().replace(b"web", b"w\xffb"), {400}),
    "NaN": (
        json.dumps(_review(_pod())).encode().replace(b'"100m"', b"NaN"), {400},
    ),
    "wrong kind": (json.dumps(_review(_pod()) | {"kind": "Pod"}).encode(), {400}),
    "wrong version": (json.dumps(_review(_pod()) | {"apiVersion": "v2"}).encode(), {400}),
    "missing request": (b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}', {400}),
    "missing uid": (json.dumps(_review(_pod(), uid="")).encode(), {400}),
    "null uid": (json.dumps(_review(_pod(), uid=None)).encode(), {400}),
    "endless uid": (json.dumps(_review(_pod(), uid="u" * 100_000)).encode(), {400}),
    "no object": (json.dumps(NO_OBJECT).encode(), {400}),
    "object is a list": (json.dumps(_review([1])).encode(), {200}),
    "containers is text": (json.dumps(_review({"spec": {"containers": "x"}})).encode(), {200}),
    "no spec": (json.dumps(_review({"kind": "Pod"})).encode(), {200}),
    "spec is null": (json.dumps(_review({"metadata": None, "spec": None})).encode(), {200}),
    "huge exponent": (json.dumps(_review(_pod(memory="10e999999"))).encode(), {200}),
    "huge number": (json.dumps(_review(_pod(memory="9" * 100_000))).encode(), {200}),
    "quantity is a list": (
        json.dumps(_review(_pod(requests={"cpu": [1]}))).encode(), {200},
    ),
    "20,000 containers": (
        json.dumps(_review({"spec": {"containers": [{"name": "c"}] * 20_000}})).encode(), {200},
    ),
    "unknown kind": (
        json.dumps(
            _review(_pod(), resource={"group": "x", "version": "v1", "resource": "y"})
        ).encode(),
        {200},
    ),
    "unknown operation": (json.dumps(_review(_pod(), operation="DANCE")).encode(), {400}),
    "two MiB": (b" " * 2_097_152, {413}),
}  # fmt: skip


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_answered_and_never_a_500(server: ServerProcess, name: str) -> None:
    body, statuses = GARBAGE[name]
    reply = server.review(body)
    assert reply.status in statuses, reply
    if reply.status == 200:
        answer = json.loads(reply.body)["response"]
        assert answer["uid"] == "r1"
    else:
        assert len(reply.body) < 400
    assert b'internal_error"} 0.0' in server.side("/metrics").body


def test_other_reviews_go_on_amid_garbage(server: ServerProcess) -> None:
    stop = threading.Event()

    def send_garbage() -> None:
        while not stop.is_set():
            for body, _ in GARBAGE.values():
                server.review(body)

    senders = [threading.Thread(target=send_garbage, daemon=True) for _ in range(4)]
    for sender in senders:
        sender.start()
    connection = server.https()
    body = json.dumps(_review(_pod())).encode()
    try:
        for _ in range(100):
            assert exchange(connection, "POST", "/validate", body).status == 200
    finally:
        stop.set()
        for sender in senders:
            sender.join()
        connection.close()


def test_the_policy_file_is_followed_and_a_bad_one_changes_nothing(server: ServerProcess) -> None:
    path = server.log_path.parent / "policy.yaml"
    no_limits = _review(_pod(requests={"cpu": "1", "memory": "1Gi"}))

    def allowed() -> bool:
        answer: dict[str, Any] = json.loads(_send(server, no_limits).body)
        return bool(answer["response"]["allowed"])

    assert not allowed()
    path.write_text("mode: warn\n")
    wait_until(allowed, 6, "the new policy")
    path.write_text("mode: loud\nheadrom: {}\n")
    faults = wait_until(
        lambda: next((one for one in server.log() if one["message"] == "unusable policy"), None),
        6,
        "the refusal in the log",
    )
    assert len(faults["faults"]) == 2
    assert allowed()
    assert server.side("/readyz").status == 200
    path.write_text("mode: enforce\n")
    wait_until(lambda: not allowed(), 6, "the policy of before")


@pytest.mark.parametrize(
    ("flags", "code", "text"),
    [
        (["--port=x", "--log-level=y"], 2, "--port is 'x'"),
        (["--snapshot=/nowhere"], 2, "/nowhere"),
        (["--snapshot={s}", "--policy-file=/nowhere"], 2, "cannot read the policy file"),
        (["--snapshot={s}", "--policy-file={bad}"], 2, "did you mean"),
        (["--snapshot={s}", "--tls-cert-file=/x", "--tls-key-file=/y"], 2, "/x"),
        (["--snapshot={s}", "--bind-address=203.0.113.7"], 2, "cannot listen on 203.0.113.7"),
        (["--kubeconfig=/nowhere"], 3, "/nowhere"),
    ],
)
def test_what_cannot_be_served_ends_at_once_with_a_reason(
    flags: list[str], code: int, text: str, tmp_path: Path
) -> None:
    (tmp_path / "s.yaml").write_text(NODE)
    (tmp_path / "bad.yaml").write_text("headrom: {}\n")
    places = {"s": str(tmp_path / "s.yaml"), "bad": str(tmp_path / "bad.yaml")}
    command = [*SERVE, *(flag.format(**places) for flag in flags), "--metrics-port=0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, text in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert "never awaited" not in done.stderr


def test_serving_a_snapshot_does_not_load_the_kubernetes_client(server: ServerProcess) -> None:
    maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "aiohttp" not in maps
    assert "uvloop" in maps


def test_sigterm_ends_it(server: ServerProcess) -> None:
    """Last in this file: the module's server is gone afterwards."""
    server.terminate()
    assert server.wait() == 0
    assert server.log()[-1]["message"] == "stopped"
