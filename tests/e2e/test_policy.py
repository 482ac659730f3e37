"""The policy ConfigMap, edited while the webhook runs; namespaces and exemptions that it names."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.shell import Done
from tests.controlplane.waiting import wait_until
from tests.e2e.manifests import bare, demo_app, deployment, pod, template
from tests.e2e.webhook import WebhookProcess

pytestmark = pytest.mark.controlplane

LIVE_SECONDS = 5


@pytest.fixture(autouse=True)
def restored(webhook: WebhookProcess, namespace: str) -> Iterator[None]:
    """Each test begins and ends with the chart's policy."""
    yield
    webhook.set_policy()


def test_an_edit_is_live_within_5_seconds(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str, tmp_path: Path
) -> None:
    """`kubectl edit` with a real editor process; the webhook is never restarted."""
    app = demo_app(namespace, limits=False)
    assert cluster.apply(app, "--dry-run=server", check=False).returncode == 1
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/mode: enforce/mode: warn/" "$1"\n')
    editor.chmod(0o755)
    pid = webhook.program.pid
    command = ("env", f"KUBE_EDITOR={editor}", cluster.binaries.programs["kubectl"])
    where = ("--kubeconfig", cluster.kubeconfig, "-n", webhook.namespace)
    cluster.stack.shell.run((*command, *where, "edit", "configmap", webhook.policy_name))
    edited = time.monotonic()
    done = wait_until(
        lambda: accepted(cluster.apply(app, "--dry-run=server", check=False)),
        LIVE_SECONDS,
        "the next answer to follow the edited policy",
    )
    print(f"an edited policy was in force after {time.monotonic() - edited:.2f} s")
    assert "Warning: Deployment" in done.stderr
    assert '[HR104] container "web": memory limit is missing' in done.stderr
    assert webhook.program.pid == pid


def accepted(done: Done) -> Done | None:
    return done if done.returncode == 0 else None


def test_a_broken_policy_is_refused_with_all_its_faults(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str
) -> None:
    """At `kubectl apply`; the good one stays in force."""
    before = webhook.policy_text
    broken = "mode: strict\nheadroom:\n  memory: {reserve: 120%}\n  spareNode: 1\n"
    done = cluster.apply(webhook.policy_manifest(broken), check=False)
    assert done.returncode == 1
    assert "denied the request" in done.stderr
    assert "3 problems" in done.stderr, done.stderr
    for fault in ("mode", "headroom.memory.reserve", "headroom.spareNode"):
        assert fault in done.stderr, done.stderr
    assert webhook.policy_text == before
    assert cluster.apply(demo_app(namespace, limits=False), check=False).returncode == 1


def test_one_that_slips_in_changes_nothing(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str
) -> None:
    """Written while the webhook was not asked: the last good policy stays, and the fault is seen."""
    good = webhook.policy_manifest(None)
    webhook.unregister()
    broken = webhook.policy_manifest("mode: strict\n")
    wait_until(
        lambda: cluster.apply(broken, check=False).returncode == 0, 15, "nobody to judge the policy"
    )
    wait_until(
        lambda: webhook.metrics().total("kube_headroom_policy_rejected_total") >= 1,
        LIVE_SECONDS,
        "the fault to be counted",
    )
    webhook.register()
    webhook.wait_acting()
    assert webhook.is_ready()
    assert cluster.apply(demo_app(namespace, limits=False), check=False).returncode == 1
    cluster.apply(good)


def test_in_warn_mode_everything_is_said_and_nothing_refused(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str
) -> None:
    webhook.set_policy({"mode": "warn"})
    done = cluster.apply(deployment(namespace, 40, pods=template(bare())))
    assert done.stdout == "deployment.apps/web created\n"
    assert done.stderr.count("Warning: ") == 4
    huge = cluster.apply(deployment(namespace, 1, "90Gi", name="huge"))
    assert "Warning: " in huge.stderr
    assert "[HR207]" in huge.stderr


def test_a_namespace_label_enforces_what_the_policy_only_warns_of(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str
) -> None:
    webhook.set_policy({"mode": "warn"})
    missing = pod(namespace, "missing", bare())
    assert cluster.apply(missing, "--dry-run=server").returncode == 0
    cluster.kubectl("label", "namespace", namespace, "kube-headroom.io/enforce=true")
    wait_until(
        lambda: "denied" in cluster.apply(missing, "--dry-run=server", check=False).stderr,
        LIVE_SECONDS,
        "the label to be in force",
    )


def test_the_exempt_are_let_through(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str
) -> None:
    """By group, by namespace and by image: each with its reason in the log."""
    webhook.set_policy(
        {
            "exemptions": [
                {"reason": "break glass", "groups": ["platform-oncall"]},
                {"reason": "batch images", "images": ["registry.example/batch:*"]},
            ],
        }
    )
    missing = pod(namespace, "missing", bare())
    assert cluster.apply(missing, "--dry-run=server", check=False).returncode == 1
    oncall = cluster.kubeconfig_for("olga", ["platform-oncall", "system:masters"])
    create = ("create", "--dry-run=server", "-f", "-")
    cluster.kubectl(*create, input=json.dumps(missing), kubeconfig=oncall)
    assert webhook.decisions(outcome="exempt", exemption="break glass")
    batch = {**bare(), "image": "registry.example/batch:7"}
    cluster.apply(pod(namespace, "batch", batch), "--dry-run=server")
