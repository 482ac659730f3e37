"""Many ask at once: never one more than there is room for, and never one less."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.e2e.looking import replicas, running
from tests.e2e.manifests import container, deployment, pod
from tests.e2e.webhook import WebhookProcess

pytestmark = pytest.mark.controlplane

RIVALS = 200
ROOM = 50
ROUNDS = 10
SIZE = "64Mi"
MEBI = 1 << 20
# What is left on the first node is room for exactly 50 pods; the other two are full.
HELD = {"node-0": 7957 - ROOM * 64, "node-1": 7957, "node-2": 7957}


@pytest.fixture
def room_for_50(cluster: ControlPlane, webhook: WebhookProcess, namespace: str) -> str:
    """A namespace for the rivals; in another one, what holds all other room."""
    for node, memory in HELD.items():
        where = {"kubernetes.io/hostname": node}
        cluster.apply(pod(namespace, node, container(f"{memory}Mi"), nodeSelector=where))
    wait_until(lambda: running(cluster, namespace) == len(HELD), 30, "the rest to be held")
    return namespace


@asynccontextmanager
async def many_connections(cluster: ControlPlane) -> AsyncIterator[httpx2.AsyncClient]:
    trust = ssl.create_default_context(cafile=str(cluster.ca_file))
    trust.load_cert_chain(cluster.admin_cert, cluster.admin_key)
    limits = httpx2.Limits(max_connections=RIVALS, max_keepalive_connections=RIVALS)
    async with httpx2.AsyncClient(
        base_url=cluster.url, verify=trust, trust_env=False, timeout=120, limits=limits
    ) as client:
        yield client


async def post_pods(cluster: ControlPlane, namespace: str, **metadata: str) -> Counter[str]:
    """Post all rivals at once; return how many ended in which way."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    bodies = [rival(namespace, number, metadata) for number in range(RIVALS)]
    async with many_connections(cluster) as client:
        answers = await asyncio.gather(*(client.post(path, json=body) for body in bodies))
    return Counter(outcome(answer) for answer in answers)


def rival(namespace: str, number: int, metadata: dict[str, str]) -> dict[str, Any]:
    made = pod(namespace, f"rival-{number}", container(SIZE))
    made["metadata"]["labels"] = {"app": "rival"}
    if metadata:
        del made["metadata"]["name"]
        made["metadata"].update(metadata)
    return made


def outcome(answer: httpx2.Response) -> str:
    if answer.status_code == 201:
        return "admitted"
    text = answer.text
    known = answer.status_code == 403 and "[HR201]" in text and "exceeded quota" in text
    return "refused for lack of room" if known else f"{answer.status_code} {text}"


def clear(cluster: ControlPlane, webhook: WebhookProcess, namespace: str) -> None:
    where = ("-n", namespace, "-l", "app=rival")
    cluster.kubectl("delete", "pods", *where, "--force", "--grace-period=0", "--wait=false")
    held = sum(HELD.values()) * MEBI
    wait_until(lambda: webhook.metrics().committed() == held, 60, "the rivals to be gone")


EXACT = Counter({"admitted": ROOM, "refused for lack of room": RIVALS - ROOM})


def test_200_pods_on_room_for_50_ten_times(
    cluster: ControlPlane, webhook: WebhookProcess, room_for_50: str
) -> None:
    """Exactly 50 are admitted, in ten rounds out of ten; all others are told why."""
    for number in range(ROUNDS):
        started = time.monotonic()
        result = asyncio.run(post_pods(cluster, room_for_50))
        print(f"round {number + 1}: {dict(result)} in {time.monotonic() - started:.2f} s")
        assert result == EXACT
        pods = cluster.objects("pods", room_for_50, "-l", "app=rival")
        assert len(pods) == ROOM
        clear(cluster, webhook, room_for_50)


def test_generated_names_race_alike(
    cluster: ControlPlane, webhook: WebhookProcess, room_for_50: str
) -> None:
    assert asyncio.run(post_pods(cluster, room_for_50, generateName="rival-")) == EXACT
    clear(cluster, webhook, room_for_50)


def test_racing_scales_are_admitted_whole_or_not_at_all(
    cluster: ControlPlane, room_for_50: str
) -> None:
    """Twenty Deployments, each from 0 to 5 pods at once: ten of them get their five."""
    names = [f"rival-{number}" for number in range(20)]
    cluster.apply([deployment(room_for_50, 0, SIZE, name=name) for name in names])

    async def scale_all() -> Counter[int]:
        path = f"/apis/apps/v1/namespaces/{room_for_50}/deployments"
        merge = {"Content-Type": "application/merge-patch+json"}
        patch = {"spec": {"replicas": 5}}
        async with many_connections(cluster) as client:
            answers = await asyncio.gather(
                *(client.patch(f"{path}/{name}/scale", json=patch, headers=merge) for name in names)
            )
        return Counter(answer.status_code for answer in answers)

    assert asyncio.run(scale_all()) == {200: 10, 403: 10}
    sizes = Counter(replicas(cluster, f"deployment/{name}", room_for_50) for name in names)
    assert sizes == {5: 10, 0: 10}
    wait_until(lambda: running(cluster, room_for_50) == 50 + len(HELD), 60, "50 pods to run")
