"""The chart on a real API server: accepted whole, least rights, upgraded and removed cleanly."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chart.release import Release, install, remove
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.shell import CommandError

pytestmark = pytest.mark.controlplane

GOLDEN = Path(__file__).parent / "golden"
BUNDLE = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t"


@pytest.fixture(scope="module")
def release(control_plane: ControlPlane) -> Iterator[Release]:
    release = install(control_plane, "first")
    yield release
    remove(release)
    control_plane.kubectl("delete", "namespace", release.namespace, "--wait=false")


def test_a_restricted_namespace_takes_it_without_a_warning(release):
    """A warning about pod security, or about an unknown field, would be in what helm said."""
    assert "STATUS: deployed" in release.said
    assert "arning" not in release.said
    conditions = release.pods()[0]["status"]["conditions"]
    assert [one["reason"] for one in conditions] == ["Unschedulable"], "admitted, and on no node"


def test_the_api_server_keeps_every_rule_as_it_was_written(release):
    """Nothing is defaulted that the chart leaves open, but the CA that the server publishes."""
    rendered = release.cluster.helm(
        "get", "manifest", release.name, "--namespace", release.namespace
    ).stdout
    conditions = re.findall(r"- name: ([a-z-]+)\n +expression", rendered)
    stored = [one["name"] for webhook in release.webhooks() for one in webhook["matchConditions"]]
    assert stored == conditions
    assert len(stored) == 8
    assert all("caBundle" not in webhook["clientConfig"] for webhook in release.webhooks())


@pytest.mark.parametrize("where", ["own", "other"])
def test_its_rights_are_the_listed_ones(release, where):
    """golden/rights-*.txt: what `kubectl auth can-i --list` says as the ServiceAccount."""
    namespace = release.namespace if where == "own" else "default"
    said = release.cluster.kubectl(
        "auth", "can-i", "--list", "--as", release.account, "--namespace", namespace
    ).stdout
    lines = sorted(re.sub(r" {2,}", "  ", line).strip() for line in said.splitlines()[1:])
    assert "\n".join(lines) + "\n" == (GOLDEN / f"rights-{where}.txt").read_text()


def test_it_may_not_touch_another_webhook_configuration(release):
    asked = ("auth", "can-i", "patch", "--as", release.account)
    resource = "validatingwebhookconfigurations.admissionregistration.k8s.io"
    own = release.cluster.kubectl(*asked, f"{resource}/{release.fullname}", check=False)
    other = release.cluster.kubectl(*asked, f"{resource}/other", check=False)
    assert (own.stdout.strip(), other.stdout.strip()) == ("yes", "no")


def test_an_upgrade_leaves_the_published_ca_alone(release):
    """The server writes caBundle; a chart that wiped it would stop the cluster for a while."""
    steps = [
        {"op": "add", "path": f"/webhooks/{number}/clientConfig/caBundle", "value": BUNDLE}
        for number in range(len(release.webhooks()))
    ]
    configuration = f"validatingwebhookconfiguration/{release.fullname}"
    release.cluster.kubectl("patch", configuration, "--type=json", "-p", json.dumps(steps))
    release.upgrade("--set", "webhook.timeoutSeconds=7")
    assert [webhook["timeoutSeconds"] for webhook in release.webhooks()] == [7, 7]
    assert [webhook["clientConfig"]["caBundle"] for webhook in release.webhooks()] == [BUNDLE] * 2


def test_an_upgrade_undoes_the_emergency_exit(release):
    release.cluster.kubectl("delete", "validatingwebhookconfiguration", release.fullname)
    release.upgrade()
    assert len(release.webhooks()) == 2


def test_a_policy_change_does_not_restart_the_pod(release):
    before = [pod["metadata"]["uid"] for pod in release.pods()]
    release.upgrade("--set", "policy.mode=audit")
    policy = release.cluster.get("configmap", f"{release.fullname}-policy", release.namespace)
    assert "mode: audit" in policy["data"]["policy.yaml"]
    deployment = release.cluster.get("deployment", release.fullname, release.namespace)
    assert deployment["metadata"]["generation"] == 1
    assert [pod["metadata"]["uid"] for pod in release.pods()] == before


def test_an_upgrade_never_undoes_an_edited_policy_in_silence(release):
    """Helm 4 applies on the server's side: it stops at the edit, and says how to go on."""
    name = f"{release.fullname}-policy"
    policy = release.cluster.get("configmap", name, release.namespace)
    edited = {"policy.yaml": "mode: warn\n"}
    release.cluster.kubectl("replace", "-f", "-", input=json.dumps({**policy, "data": edited}))
    with pytest.raises(CommandError, match=r"conflict.*\.data\.policy\.yaml"):
        release.upgrade()
    assert release.cluster.get("configmap", name, release.namespace)["data"] == edited
    release.upgrade("--force-conflicts")
    assert release.cluster.get("configmap", name, release.namespace)["data"] != edited
