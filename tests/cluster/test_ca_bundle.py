"""Our caBundle stays ours."""

import asyncio
import base64
import json

import pytest

from kube_headroom.cluster.ca_bundle import CaBundle
from kube_headroom.errors import ClusterUnavailable
from tests.cluster.fake_api import failure, reply
from tests.cluster.recording import until

PEM = b"-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----\n"
OURS = base64.b64encode(PEM).decode()


def configuration(*bundles: str | None) -> dict:
    return {
        "metadata": {"name": "ours"},
        "webhooks": [
            {"name": f"w{n}", "clientConfig": {"caBundle": bundle} if bundle else {}}
            for n, bundle in enumerate(bundles)
        ],
    }


async def test_only_what_differs_is_written_and_guarded_by_its_name(api, client):
    api.lists = [reply(200, configuration(OURS, None, "Cg=="))]
    api.writes = [reply(200, {})]
    assert await CaBundle(client, "ours", lambda: PEM).heal()
    (write,) = api.asked_to("writes")
    assert write.path.endswith("/validatingwebhookconfigurations/ours")
    assert write.query == {"fieldManager": "kube-headroom-ca-bundle"}
    assert json.loads(write.body) == [
        {"op": "test", "path": "/webhooks/1/name", "value": "w1"},
        {"op": "add", "path": "/webhooks/1/clientConfig/caBundle", "value": OURS},
        {"op": "test", "path": "/webhooks/2/name", "value": "w2"},
        {"op": "add", "path": "/webhooks/2/clientConfig/caBundle", "value": OURS},
    ]


async def test_nothing_is_written_when_nothing_differs(api, client):
    api.lists = [reply(200, configuration(OURS, OURS))]
    assert not await CaBundle(client, "ours", lambda: PEM).heal()
    assert api.asked_to("writes") == []


async def test_a_failed_write_says_why(api, client):
    api.lists = [reply(200, configuration(None))]
    api.writes = [failure(422, "Invalid", "testing value failed")]
    with pytest.raises(ClusterUnavailable, match="changed meanwhile"):
        await CaBundle(client, "ours", lambda: PEM).heal()


async def test_failures_are_retried_and_a_new_bundle_is_written_at_once(api, client):
    api.lists = [failure(404, "NotFound")] * 2 + [reply(200, configuration(None))]
    api.writes = [reply(200, {})]
    keeper = CaBundle(client, "ours", lambda: PEM, interval_seconds=0.05)
    task = asyncio.create_task(keeper.run())
    await until(lambda: keeper.writes == 2, "two writes")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    slow = CaBundle(client, "ours", lambda: PEM, interval_seconds=3600)
    task = asyncio.create_task(slow.run())
    await until(lambda: slow.writes == 1, "the first write")
    slow.changed()
    await until(lambda: slow.writes == 2, "the write of the new bundle")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
