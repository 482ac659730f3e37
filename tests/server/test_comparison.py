"""Comparing on demand on a real API server: nothing after churn and during it, and what is off is named."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from functools import partial
from random import Random

import pytest

from kube_headroom.capacity.comparer import Report, compare
from kube_headroom.capacity.view import RESOURCES as VIEWED
from kube_headroom.capacity.view import View
from kube_headroom.cluster.client import Client
from kube_headroom.cluster.feed import Feed
from kube_headroom.cluster.listing import Lister
from kube_headroom.cluster.resource_paths import RESOURCES
from kube_headroom.resources.objects import KubeObject
from kube_headroom.server.comparison import Comparison
from tests.cluster.recording import until
from tests.controlplane.cluster import ControlPlane

pytestmark = pytest.mark.controlplane


class Followed:
    """A view that follows the cluster, and what compares it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.view = View()
        self.feed = Feed(client, self.view, [RESOURCES[plural] for plural in VIEWED])
        self.lister = Lister(client)
        self.comparison = Comparison(self.view, self.lister, self.feed, time.monotonic)

    async def compare(self) -> Report:
        return await self.comparison.compare()


@pytest.fixture
async def followed(control_plane: ControlPlane) -> AsyncIterator[Followed]:
    client = await Client.connect(str(control_plane.kubeconfig))
    made = Followed(client)
    made.feed.start()
    await until(lambda: made.view.synced, "all lists", 30)
    yield made
    await made.feed.stop()
    await client.close()


@pytest.fixture
async def namespace(control_plane: ControlPlane) -> AsyncIterator[str]:
    name = await asyncio.to_thread(control_plane.namespace, "compare")
    yield name
    await asyncio.to_thread(control_plane.kubectl, "delete", "namespace", name, "--wait=false")


def deployment(name: str, replicas: int, memory: str) -> dict:
    resources = {"requests": {"memory": memory, "cpu": "1m"}}
    containers = [{"name": "a", "image": "any", "resources": resources}]
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    return {
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


async def churn(client: Client, namespace: str, random: Random, steps: int) -> None:
    """Create, scale, roll and delete Deployments."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    for _ in range(steps):
        name = f"d{random.randrange(4)}"
        body = deployment(name, random.randrange(5), random.choice(("1Mi", "2Mi")))
        with contextlib.suppress(Exception):
            if random.random() < 0.3:
                await client._whole("DELETE", f"{path}/{name}", {})
            elif random.random() < 0.5:
                await client.post(path, json.dumps(body).encode())
            else:
                patch = json.dumps({"spec": body["spec"]}).encode()
                await client.patch(f"{path}/{name}", patch, "application/merge-patch+json")


async def test_nothing_is_found_while_the_cluster_changes_and_after(
    followed: Followed, namespace: str, soak: bool
) -> None:
    """News that the list does not know yet is no difference."""
    for seed in range(20 if soak else 3):
        changing = asyncio.create_task(churn(followed.client, namespace, Random(seed), 60))
        while not changing.done():
            report = await followed.compare()
            assert report.exact, str(report)
        await changing
    report = await followed.compare()
    assert report.exact, str(report)
    assert report.rows >= 4


async def test_what_is_off_is_found(followed: Followed, namespace: str) -> None:
    """A lost event, a row that nobody wrote, and a sum that drifted, while pods come and go."""
    await followed.client.post(
        f"/apis/apps/v1/namespaces/{namespace}/deployments",
        json.dumps(deployment("web", 3, "1Mi")).encode(),
    )
    rows = followed.view.book.pods
    await until(lambda: any(row.node and row.owner for row in rows.values()), "its pods", 30)
    assert (await followed.compare()).exact
    book = followed.view.book
    uid = next(uid for uid, row in book.pods.items() if row.node and row.owner)
    row = book.pods[uid]
    book.remove_pod(uid)
    book.nodes.assign(row.node, 0, row.load, add=True)
    found = await followed.compare()
    assert [str(each).partition(":")[0] for each in found.differences] == [
        f"missed pods {uid}",
        "sum book",
    ]


def keep(objects: list[KubeObject], plural: str, obj: KubeObject) -> None:
    objects.append(obj)


async def test_the_pure_comparison_agrees(followed: Followed) -> None:
    """Lists in hand, compared in one go: as tests do after every scenario."""
    report = None
    async with asyncio.timeout(60):
        while report is None or not report.exact:  # others' pods may still be on their way out
            listed: dict[str, list[KubeObject]] = {}
            for plural in VIEWED:
                objects: list[KubeObject] = []
                await followed.lister.list_all(plural, partial(keep, objects))
                listed[plural] = objects
            report = compare(followed.view, listed, time.monotonic())
    assert report.rows >= len(listed["nodes"]) >= 3
