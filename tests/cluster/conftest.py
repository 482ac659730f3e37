"""What the tests of this room share."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from kube_headroom.cluster.backoff import BackoffSettings
from kube_headroom.cluster.client import Client, Timeouts
from kube_headroom.cluster.reflector import Reflector, ReflectorSettings
from kube_headroom.cluster.resource_paths import RESOURCES
from tests.cluster.fake_api import FakeApi
from tests.cluster.recording import RecordingView

IMPATIENT = ReflectorSettings(
    page_size=2, backoff=BackoffSettings(first_seconds=0.02, most_seconds=0.05)
)


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi() as running:
        yield running


@pytest.fixture
async def client(api: FakeApi, tmp_path: Path) -> AsyncIterator[Client]:
    impatient = Timeouts(connect_seconds=1, request_seconds=5, watch_silence_seconds=0.3)
    connected = await Client.connect(api.kubeconfig(tmp_path), timeouts=impatient)
    yield connected
    await connected.close()


@pytest.fixture
def view() -> RecordingView:
    return RecordingView()


@pytest.fixture
async def follow(client: Client, view: RecordingView) -> AsyncIterator[Callable[..., Reflector]]:
    """Start a reflector of pods; it is stopped after the test."""
    tasks: list[asyncio.Task[None]] = []

    def start(settings: ReflectorSettings = IMPATIENT) -> Reflector:
        reflector = Reflector(client, RESOURCES["pods"], view, settings)
        tasks.append(asyncio.create_task(reflector.run()))
        return reflector

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
