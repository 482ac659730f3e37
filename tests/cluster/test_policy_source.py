"""The policy's text, as the ConfigMap changes."""

import asyncio
import contextlib

from kube_headroom.cluster.policy_source import PolicySource
from tests.cluster.conftest import IMPATIENT
from tests.cluster.fake_api import event, page, stream
from tests.cluster.recording import until


def config(version: int, **data: str) -> dict:
    return {"metadata": {"name": "policy", "resourceVersion": str(version)}, "data": data}


async def told_by(api, client, *, what: int) -> list[tuple[str | None, str]]:
    told: list[tuple[str | None, str]] = []
    source = PolicySource(
        client, "ours", "policy", lambda text, version: told.append((text, version)),
        settings=IMPATIENT,
    )  # fmt: skip
    task = asyncio.create_task(source.run())
    await until(lambda: len(told) >= what, "the texts")
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return told


async def test_only_our_own_config_map_is_asked_for(api, client):
    """By name: that is what a Role with resourceNames allows."""
    api.lists, api.watches = [page([config(1, **{"policy.yaml": "a"})], 1)], [stream()]
    assert await told_by(api, client, what=1) == [("a", "1")]
    assert api.asked[0].path == "/api/v1/namespaces/ours/configmaps"
    assert api.asked[0].query["fieldSelector"] == "metadata.name=policy"


async def test_every_change_of_the_text_is_told_once(api, client):
    api.lists = [page([config(1, **{"policy.yaml": "a"})], 1)]
    api.watches = [
        stream(
            event("MODIFIED", config(2, **{"policy.yaml": "a", "other": "x"})),
            event("MODIFIED", config(3, **{"policy.yaml": "b"})),
            event("DELETED", config(4, **{"policy.yaml": "b"})),
            event("ADDED", config(5, **{"policy.yaml": "c"})),
        )
    ]
    assert await told_by(api, client, what=4) == [("a", "1"), ("b", "3"), (None, "4"), ("c", "5")]


async def test_a_missing_config_map_and_a_missing_key_are_told(api, client):
    api.lists = [page([], 7)]
    api.watches = [
        stream(event("ADDED", config(8, **{"policy.yaml": "a"})), event("MODIFIED", config(9)))
    ]
    assert await told_by(api, client, what=3) == [(None, "7"), ("a", "8"), (None, "9")]
