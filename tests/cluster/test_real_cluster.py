"""The same room against a real API server."""

import asyncio
import base64
import json
import subprocess
import time

import pytest

from kube_headroom.cluster.ca_bundle import CaBundle
from kube_headroom.cluster.client import Client
from kube_headroom.cluster.feed import Feed
from kube_headroom.cluster.policy_source import PolicySource
from kube_headroom.cluster.reflector import ReflectorSettings
from kube_headroom.cluster.resource_paths import RESOURCES, ResourcePath
from kube_headroom.cluster.snapshot import load_snapshot
from tests.cluster.recording import until
from tests.controlplane.waiting import wait_until

pytestmark = pytest.mark.controlplane

CONFIG_MAPS = ResourcePath("configmaps", "ConfigMap")


def config_map(namespace: str, name: str, **data: str) -> dict:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


@pytest.fixture
async def real(control_plane):
    client = await Client.connect(str(control_plane.kubeconfig))
    yield client
    await client.close()


@pytest.fixture
async def feeding(real, view):
    """Start a feed of some resources; it is stopped after the test."""
    feeds: list[Feed] = []

    def start(*resources: ResourcePath, **settings: int) -> Feed:
        feed = Feed(real, view, resources, ReflectorSettings(**settings))
        feed.start()
        feeds.append(feed)
        return feed

    yield start
    for feed in feeds:
        await feed.stop()


async def in_thread(call, *args, **named):
    return await asyncio.to_thread(call, *args, **named)


async def test_every_type_of_the_view_is_followed(control_plane, feeding, view):
    """The paths exist, and real objects have the shapes the wire types say."""
    feed = feeding(*RESOURCES.values())
    await until(lambda: len(view.listed) == len(RESOURCES), "all lists", 30)
    assert feed.faults() == {}
    assert len(view.names("nodes", "")) >= 3
    assert "default" in view.names("namespaces", "")
    assert "system-node-critical" in view.names("priorityclasses", "")
    assert sum(reflector.undecodable for reflector in feed.reflectors.values()) == 0


async def test_creates_updates_and_deletes_are_followed(control_plane, feeding, view):
    namespace = await in_thread(control_plane.namespace, "follow")
    feed = feeding(CONFIG_MAPS)
    await until(lambda: view.listed, "the list")
    await in_thread(control_plane.apply, config_map(namespace, "a", k="1"))
    await until(lambda: "a" in view.names("configmaps", namespace), "the create")
    await in_thread(control_plane.apply, config_map(namespace, "a", k="2"))
    await until(
        lambda: view.objects["configmaps"][f"{namespace}/a"].data == {"k": "2"}, "the update"
    )
    await in_thread(control_plane.kubectl, "delete", "configmap", "a", "-n", namespace)
    await until(lambda: "a" not in view.names("configmaps", namespace), "the delete")
    assert view.went_back == []
    assert int(await feed.current_version("configmaps")) >= int(view.versions["configmaps"])


async def test_long_lists_come_in_pages(control_plane, feeding, view, real):
    """More objects than fit one page, none twice and none lost."""
    namespace = await in_thread(control_plane.namespace, "pages")
    maps = [config_map(namespace, f"m{n:04}") for n in range(620)]
    await post_all(real, namespace, maps)
    feed = feeding(CONFIG_MAPS, page_size=100)
    await until(lambda: view.listed, "the list", 30)
    assert [n for n in view.names("configmaps", namespace) if n.startswith("m")] == [
        f"m{n:04}" for n in range(620)
    ]
    assert feed.reflectors["configmaps"].lists == 1


async def post_all(client: Client, namespace: str, objects: list[dict]) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    for start in range(0, len(objects), 20):
        batch = objects[start : start + 20]
        await asyncio.gather(*(client.post(path, json.dumps(obj).encode()) for obj in batch))


async def test_a_version_the_server_has_forgotten_leads_to_a_new_list(
    control_plane, feeding, view, caplog
):
    """The real 410: a restarted API server knows nothing of what was before."""
    caplog.set_level("INFO")
    await in_thread(control_plane.kill_apiserver)
    await in_thread(control_plane.start_apiserver)
    feed = feeding(CONFIG_MAPS)
    feed.reflectors["configmaps"]._version = "1"  # as after a long sleep
    await until(lambda: view.listed.get("configmaps") == 1, "the list")
    assert "too old resource version: 1 " in caplog.text


@pytest.mark.parametrize("how", ["stop_apiserver", "kill_apiserver"])
async def test_a_restarted_api_server_is_followed_again_within_10_seconds(
    control_plane, feeding, view, how
):
    """Counted from the moment it says ready."""
    namespace = await in_thread(control_plane.namespace, "restart")
    feed = feeding(*RESOURCES.values(), CONFIG_MAPS)
    await until(lambda: len(view.listed) == len(RESOURCES) + 1, "all lists", 30)
    await in_thread(getattr(control_plane, how))
    await until(lambda: len(feed.faults()) == len(RESOURCES) + 1, "all watches broken", 30)
    await in_thread(control_plane.start_apiserver)
    ready = time.monotonic()
    await in_thread(
        wait_until,
        lambda: control_plane.apply(config_map(namespace, "after"), check=False).returncode == 0,
        10,
        "the first write after the restart",
        poll_seconds=0.2,
    )
    await until(lambda: "after" in view.names("configmaps", namespace), "the event", 15)
    await until(lambda: not feed.faults(), "all types", 15)
    took = time.monotonic() - ready
    print(f"followed again {took:.1f} s after /readyz")
    assert took <= 10
    assert view.went_back == []


async def test_the_policy_is_followed_with_the_rights_to_one_name(control_plane):
    """A Role with resourceNames is enough."""
    namespace = await in_thread(control_plane.namespace, "policy")
    await in_thread(
        allow,
        control_plane,
        namespace,
        "policy-reader",
        ["", "configmaps", "policy", "get,list,watch"],
    )
    client = await Client.connect(str(control_plane.kubeconfig_for("policy-reader")))
    told: list[str | None] = []
    source = PolicySource(client, namespace, "policy", lambda text, _: told.append(text))
    task = asyncio.create_task(source.run())
    await until(lambda: told == [None], "the empty list")
    written = time.monotonic()
    policy = {"policy.yaml": "mode: warn\n"}
    await in_thread(control_plane.apply, config_map(namespace, "policy", **policy))
    await until(lambda: told == [None, "mode: warn\n"], "the text", 5)
    assert time.monotonic() - written < 5
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await client.close()


def allow(control_plane, namespace: str, user: str, rule: list[str], *, cluster: bool = False):
    """Give a user the named verbs on one named object."""
    group, resource, name, verbs = rule
    kind = "ClusterRole" if cluster else "Role"
    metadata = {"name": user} | ({} if cluster else {"namespace": namespace})
    api = "rbac.authorization.k8s.io"
    control_plane.apply(
        [
            {
                "apiVersion": f"{api}/v1", "kind": kind, "metadata": metadata,
                "rules": [{"apiGroups": [group], "resources": [resource],
                           "resourceNames": [name], "verbs": verbs.split(",")}],
            },
            {
                "apiVersion": f"{api}/v1", "kind": f"{kind}Binding", "metadata": metadata,
                "roleRef": {"apiGroup": api, "kind": kind, "name": user},
                "subjects": [{"apiGroup": api, "kind": "User", "name": user}],
            },
        ]
    )  # fmt: skip


WEBHOOKS = "validatingwebhookconfigurations"


def webhook_configuration(name: str) -> dict:
    def entry(host: str) -> dict:
        return {
            "name": host, "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "failurePolicy": "Ignore", "rules": [],
            "clientConfig": {"service": {"namespace": "nowhere", "name": "none"}},
        }  # fmt: skip

    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [entry("one.example.com"), entry("two.example.com")],
    }


async def test_the_ca_bundle_is_set_and_healed_with_get_and_patch_only(control_plane):
    """Whoever takes it away, it is back within 15 seconds."""
    name = "ca-bundle-test"
    await in_thread(control_plane.apply, webhook_configuration(name))
    await in_thread(
        allow, control_plane, "", name,
        ["admissionregistration.k8s.io", WEBHOOKS, name, "get,patch"], cluster=True,
    )  # fmt: skip
    client = await Client.connect(str(control_plane.kubeconfig_for(name)))
    pem = control_plane.ca_pem.encode()
    keeper = CaBundle(client, name, lambda: pem)
    task = asyncio.create_task(keeper.run())
    await until(lambda: keeper.writes == 1, "the first write")

    def bundles() -> list[str | None]:
        found = control_plane.get(WEBHOOKS, name)["webhooks"]
        return [webhook["clientConfig"].get("caBundle") for webhook in found]

    ours = base64.b64encode(pem).decode()
    assert await in_thread(bundles) == [ours, ours]
    # An apply of the same manifest does not touch it ...
    await in_thread(control_plane.apply, webhook_configuration(name))
    assert await in_thread(bundles) == [ours, ours]
    # ... but a replace takes it away.
    text = json.dumps(webhook_configuration(name))
    await in_thread(control_plane.kubectl, "replace", "-f", "-", input=text)
    taken = time.monotonic()
    await until(lambda: keeper.writes == 2, "the second write", 15)
    print(f"healed after {time.monotonic() - taken:.1f} s")
    assert await in_thread(bundles) == [ours, ours]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await client.close()


async def test_what_kubectl_get_prints_is_a_snapshot(control_plane, tmp_path):
    printed = await in_thread(
        control_plane.kubectl, "get", "nodes,pods,deployments,priorityclasses", "-A", "-o", "json"
    )
    path = tmp_path / "cluster.json"
    path.write_text(printed.stdout)
    kinds = {obj.kind for obj in load_snapshot(path)}
    assert {"Node", "PriorityClass"} <= kinds
    assert isinstance(printed, subprocess.CompletedProcess)
