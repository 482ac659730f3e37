"""Users who all want one more unit at once: a pod, a Deployment of one, or one more by scaling."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from tests.controlplane.cluster import ControlPlane
from tests.e2e.manifests import container, deployment, pod

UNIT = "16Mi"
UNIT_BYTES = 16 << 20
MERGE = {"Content-Type": "application/merge-patch+json"}


@asynccontextmanager
async def connected(cluster: ControlPlane, connections: int) -> AsyncIterator[httpx2.AsyncClient]:
    """Yield an administrator with so many connections."""
    trust = ssl.create_default_context(cafile=str(cluster.ca_file))
    trust.load_cert_chain(cluster.admin_cert, cluster.admin_key)
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx2.AsyncClient(
        base_url=cluster.url, verify=trust, trust_env=False, timeout=60, limits=limits
    ) as client:
        yield client


class Users:
    """Requests in one namespace; numbers tell their objects apart."""

    def __init__(self, client: httpx2.AsyncClient, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        self.answers: Counter[str] = Counter()

    async def prepare(self, number: int) -> None:
        """Create a Deployment that can be scaled."""
        body = deployment(self._namespace, 0, UNIT, name=f"scaled-{number}")
        answer = await self._client.post(self._deployments, json=body)
        assert answer.status_code == 201, answer.text

    async def make_pod(self, number: int) -> bool:
        """Create a bare pod."""
        body = pod(self._namespace, f"pod-{number}", container(UNIT))
        return self._note(await self._client.post(self._pods, json=body))

    async def make_deployment(self, number: int) -> bool:
        """Create a Deployment of one pod."""
        body = deployment(self._namespace, 1, UNIT, name=f"made-{number}")
        return self._note(await self._client.post(self._deployments, json=body))

    async def scale(self, number: int) -> bool:
        """Scale a Deployment from none to one."""
        path, body = f"{self._deployments}/scaled-{number}/scale", {"spec": {"replicas": 1}}
        return self._note(await self._client.patch(path, json=body, headers=MERGE))

    async def want(self, number: int) -> bool:
        """Do one of the three."""
        ways = (self.make_pod, self.make_deployment, self.scale)
        return await ways[number % 3](number)

    async def delete_pod(self, number: int) -> bool:
        """Delete a pod at once."""
        body = {"gracePeriodSeconds": 0}
        path = f"{self._pods}/pod-{number}"
        answer = await self._client.request("DELETE", path, json=body)
        return answer.status_code in {200, 404}

    def _note(self, answer: httpx2.Response) -> bool:
        if answer.is_success:
            self.answers["admitted"] += 1
            return True
        full = answer.status_code == 403 and "HR20" in answer.text
        self.answers["refused" if full else f"{answer.status_code}: {answer.text[:300]}"] += 1
        return False


async def units(client: httpx2.AsyncClient, namespace: str) -> int:
    """Return what the namespace declares: bare pods, and what Deployments ask for."""
    paths = (
        f"/api/v1/namespaces/{namespace}/pods",
        f"/apis/apps/v1/namespaces/{namespace}/deployments",
    )
    pods, deployments = await asyncio.gather(*(client.get(path) for path in paths))
    bare = [each for each in _items(pods) if not each["metadata"].get("ownerReferences")]
    return len(bare) + sum(each["spec"]["replicas"] for each in _items(deployments))


def _items(answer: httpx2.Response) -> list[dict[str, Any]]:
    answer.raise_for_status()
    items: list[dict[str, Any]] = answer.json()["items"]
    return items
