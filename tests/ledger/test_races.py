"""Three real replicas, one ledger: never one unit too many, whoever asks and whatever breaks."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import count, pairwise

import httpx2
import pytest

from tests.controlplane.build import Binaries
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.e2e.cleaning import empty
from tests.e2e.manifests import container, pod
from tests.ledger.forwarders import SlowWatches
from tests.ledger.installation import Installation
from tests.ledger.users import UNIT, UNIT_BYTES, Users, connected, units

pytestmark = pytest.mark.controlplane

ROOM = 100
RIVALS = 400


@pytest.fixture(scope="module")
def cluster(control_plane_binaries: Binaries) -> Iterator[ControlPlane]:
    """A cluster with room for exactly 100 units."""
    with ControlPlane(binaries=control_plane_binaries) as cluster:
        cluster.add_nodes(1, memory=f"{ROOM * UNIT_BYTES}", pods=1000)
        yield cluster


@pytest.fixture(scope="module")
def three(cluster: ControlPlane) -> Iterator[Installation]:
    with Installation(cluster) as installation:
        yield installation


@pytest.mark.parametrize("replicas", [1, 3])
def test_400_users_on_room_for_100(cluster: ControlPlane, replicas: int, soak: bool) -> None:
    """Pods, Deployments and scales mixed: 100 are admitted, 300 are told why, nobody else errs."""
    with Installation(cluster, replicas) as installation:
        for number in range((20 if soak else 3) if replicas == 3 else 1):
            namespace = cluster.namespace("race")
            answers, seconds = asyncio.run(race(cluster, installation, namespace))
            print(
                f"{replicas} replicas, round {number + 1}: {dict(answers)} in {seconds:.2f} s,"
                f" {RIVALS / seconds:.0f} charged reviews/s;"
                f" {installation.total('kube_headroom_ledger_commits_total')} commits and"
                f" {installation.total('kube_headroom_ledger_conflicts_total')} conflicts so far"
            )
            empty(cluster, namespace)
            installation.wait_at_rest()


async def race(
    cluster: ControlPlane, installation: Installation, namespace: str
) -> tuple[Counter[str], float]:
    async with connected(cluster, RIVALS) as client:
        users = Users(client, namespace)
        await asyncio.gather(*(users.prepare(number) for number in range(2, RIVALS, 3)))
        await asyncio.to_thread(installation.wait_at_rest)
        started = time.monotonic()
        pending = list(range(RIVALS))
        while True:
            done = await asyncio.gather(*(users.want(number) for number in pending))
            seconds = time.monotonic() - started
            answers = users.answers
            assert set(answers) <= {"admitted", "refused"}, answers
            admitted = await units(client, namespace)
            assert admitted <= ROOM
            if admitted >= ROOM - 1 or seconds > 30:
                break
            pending = [number for number, ok in zip(pending, done, strict=True) if not ok]
        assert admitted >= ROOM - 1
        return answers, seconds


KILL_EVERY_SECONDS = 10
ADMITS_WITHIN_SECONDS = 20
DELAY_SECONDS = 5
LATE = 2
"""The replica whose watches are told late."""


def test_chaos(cluster: ControlPlane, soak: bool) -> None:
    """Replicas die, one is 5 s late, the API server restarts: never 101, and life goes on."""
    trust = ssl.create_default_context(cafile=str(cluster.ca_file))
    with (
        SlowWatches(cluster.url, trust, delay_seconds=DELAY_SECONDS) as slow,
        Installation(cluster, urls={LATE: f"http://127.0.0.1:{slow.port}"}) as installation,
    ):
        assert_one_is_late(cluster, installation)
        namespace = cluster.namespace("chaos")
        chaos = Chaos(cluster, installation, namespace, seconds=600 if soak else 60)
        asyncio.run(chaos.run())
        empty(cluster, namespace)
        installation.wait_at_rest()
        assert_one_is_late(cluster, installation)


def assert_one_is_late(cluster: ControlPlane, installation: Installation) -> None:
    """Fail unless a pod that nobody promised is seen by the late one after all others, and late."""
    name = "herald"  # in our own namespace, where nobody is asked
    seen: dict[int, float] = {}
    created = time.monotonic()
    cluster.apply(pod(installation.namespace, name, container(UNIT)))

    def all_have_seen() -> bool:
        for number, replica in enumerate(installation.replicas):
            if number not in seen and replica.figures().committed() == UNIT_BYTES:
                seen[number] = time.monotonic() - created
        return len(seen) == len(installation.replicas)

    wait_until(all_have_seen, 60, "all replicas to have seen a pod")
    print("a pod was seen after " + ", ".join(f"{seen[each]:.1f} s" for each in sorted(seen)))
    assert list(seen)[-1] == LATE
    assert seen[LATE] >= DELAY_SECONDS
    cluster.kubectl("delete", "pod", name, "-n", installation.namespace, "--now")
    installation.wait_at_rest()


class Chaos:
    """Users who never stop, and one who breaks things."""

    def __init__(
        self, cluster: ControlPlane, installation: Installation, namespace: str, seconds: float
    ) -> None:
        self.cluster, self.installation, self.namespace = cluster, installation, namespace
        self.seconds = seconds
        self.numbers = count(3, 3)
        self.alive: set[int] = set()
        self.most = 0
        self.looks = 0
        self.behind = Counter[int]()
        """How often which replica said that its view is behind what others had seen."""
        self.admitted_at = [time.monotonic()]

    async def run(self) -> None:
        """Break things for a time; then there must be 95 units within a minute."""
        async with connected(self.cluster, 50) as client:
            self.client, self.users = client, Users(client, self.namespace)
            tasks = [asyncio.create_task(self.create()) for _ in range(20)]
            tasks += [asyncio.create_task(each()) for each in (self.delete, self.count, self.look)]
            try:
                await self.break_things()
                ended = time.monotonic()
                tasks.pop(20).cancel()  # nobody deletes any more
                while (now := await self.units()) < 95 and time.monotonic() - ended < 60:  # noqa: ASYNC110 - the cluster tells nobody
                    await asyncio.sleep(0.5)
            finally:
                for task in tasks:
                    task.cancel()
                results = await asyncio.gather(*tasks, return_exceptions=True)
        for each in results:
            assert isinstance(each, asyncio.CancelledError), each
        gaps = [b - a for a, b in pairwise(self.admitted_at)]
        print(
            f"{len(gaps)} admissions, {self.most} units at most, longest gap {max(gaps):.1f} s,"
            f" {now} units {time.monotonic() - ended:.1f} s after the end;"
            f" behind the ledger: {dict(sorted(self.behind.items()))} of {self.looks} looks"
        )
        assert self.behind[LATE], "the late one never was behind"
        assert self.most <= ROOM
        assert max(gaps) <= ADMITS_WITHIN_SECONDS
        assert now >= 95

    async def create(self) -> None:
        while True:
            number = next(self.numbers)
            with suppress(httpx2.TransportError):
                if await self.users.make_pod(number):
                    self.alive.add(number)
                    self.admitted_at.append(time.monotonic())
                    continue
            await asyncio.sleep(0.5)

    async def delete(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            for number in random.sample(sorted(self.alive), min(2, len(self.alive))):
                with suppress(httpx2.TransportError):
                    if await self.users.delete_pod(number):
                        self.alive.discard(number)

    async def count(self) -> None:
        while True:
            with suppress(httpx2.HTTPError):
                self.most = max(self.most, await self.units())
            await asyncio.sleep(0.3)

    async def look(self) -> None:
        while True:
            self.looks += 1
            for number, replica in enumerate(self.installation.replicas):
                _, text = await asyncio.to_thread(replica.get, "/readyz?verbose")
                self.behind[number] += "behind the ledger" in text
            await asyncio.sleep(1)

    async def units(self) -> int:
        return await units(self.client, self.namespace)

    async def break_things(self) -> None:
        rounds = int(self.seconds / KILL_EVERY_SECONDS)
        for number in range(rounds):
            await asyncio.sleep(KILL_EVERY_SECONDS)
            await asyncio.to_thread(random.choice(self.installation.replicas).restart)
            if number == rounds // 2:
                await asyncio.to_thread(self.cluster.kill_apiserver)
                await asyncio.to_thread(self.cluster.start_apiserver)


def test_the_ledger_belongs_to_the_service_account(
    cluster: ControlPlane, three: Installation
) -> None:
    stored = cluster.get("configmap", three.ledger_name, three.namespace)
    (owner,) = stored["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("ServiceAccount", three.release)
    assert not stored["metadata"].get("labels")
