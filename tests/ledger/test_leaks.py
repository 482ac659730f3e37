"""Promises do not leak: what was admitted and then failed behind us gives its room back."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.controlplane.build import Binaries
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.e2e.cleaning import empty
from tests.e2e.manifests import deployment, pod
from tests.ledger.installation import Installation
from tests.ledger.refusing import WORDS, OtherWebhook
from tests.ledger.users import UNIT, UNIT_BYTES, Users, connected

pytestmark = pytest.mark.controlplane

CONNECTIONS = 20
AFTER_THE_HOLD_SECONDS = 15
"""Old promises are looked for every 3 s; then the watch must pass the API server's version."""
AT_ONCE_SECONDS = 20
"""Far below the hold of 75 s: what is seen by then did not wait for its end."""


@pytest.fixture(scope="module")
def cluster(control_plane_binaries: Binaries) -> Iterator[ControlPlane]:
    """A cluster with room for more than all that fails here at the same time."""
    with ControlPlane(binaries=control_plane_binaries) as cluster:
        cluster.add_nodes(1, cpu="64", memory=f"{2000 * UNIT_BYTES}", pods=2000)
        yield cluster


@pytest.fixture(scope="module")
def two(cluster: ControlPlane) -> Iterator[Installation]:
    """Two replicas that hold a promise for as long as they do by default."""
    with Installation(cluster, 2) as installation:
        yield installation


def made(users: Users) -> Counter[str]:
    """Return how the requests ended, in a word each."""
    known = (WORDS, "exceeded quota: none", "already exists", "admitted", "refused")
    endings: Counter[str] = Counter()
    for answer, times in users.answers.items():
        endings[next((each for each in known if each in answer), answer)] += times
    return endings


async def make_pods(cluster: ControlPlane, namespace: str, count: int, names: int) -> Counter[str]:
    """Create so many pods at once under so many names; return how it ended for them."""
    async with connected(cluster, CONNECTIONS) as client:
        users = Users(client, namespace)
        await asyncio.gather(*(users.make_pod(number % names) for number in range(count)))
        return made(users)


def no_pods(cluster: ControlPlane) -> str:
    """Return a namespace whose quota allows none, once it is known to."""
    namespace = cluster.namespace("quota")
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": {"pods": "0"}}}
    cluster.apply({**quota, "metadata": {"name": "none", "namespace": namespace}})
    wait_until(lambda: cluster.get("resourcequota", "none", namespace).get("status"), 20, "quota")
    return namespace


def wait_refused(cluster: ControlPlane, namespace: str) -> None:
    """Wait until the API server asks the other webhook; nothing is promised by that."""

    def refused() -> bool:
        asked = cluster.apply(pod(namespace, "probe"), "--dry-run=server", check=False)
        return WORDS in asked.stderr

    wait_until(refused, 30, "the other webhook to be asked")


def test_admitted_creates_that_fail_give_their_room_back(cluster: ControlPlane, soak: bool) -> None:
    """Another webhook denies, a ResourceQuota refuses, the name exists: whole within the hold."""
    each = 334 if soak else 20
    hold_seconds = 75 if soak else 5
    arguments = (f"--promise-seconds={hold_seconds}",)
    denied, existing = cluster.namespace("denied"), cluster.namespace("existing")
    namespaces = (denied, no_pods(cluster), existing)
    with (
        Installation(cluster, 2, arguments=arguments) as two,
        OtherWebhook(cluster, denied),
    ):
        wait_refused(cluster, denied)
        first = asyncio.run(make_pods(cluster, existing, each, each))
        assert first == {"admitted": each}
        two.wait_at_rest(each * UNIT_BYTES)
        before = promised(two)

        async def fail() -> list[Counter[str]]:
            return await asyncio.gather(
                *(make_pods(cluster, namespace, each, each) for namespace in namespaces)
            )

        answers = asyncio.run(fail())
        ended = time.monotonic()
        assert answers == [{WORDS: each}, {"exceeded quota: none": each}, {"already exists": each}]
        assert promised(two) - before >= 3 * each
        held = max(replica.figures().committed() for replica in two.replicas) - each * UNIT_BYTES
        two.wait_at_rest(each * UNIT_BYTES, seconds=hold_seconds + AFTER_THE_HOLD_SECONDS)
        print(
            f"{3 * each} admitted and failed; then {held / UNIT_BYTES:.0f} units were held for"
            f" nobody, none {time.monotonic() - ended:.1f} s later; a hold of {hold_seconds} s"
        )
        for namespace in namespaces:
            empty(cluster, namespace)


def promised(installation: Installation) -> int:
    """Return how many reviews ended in a promise."""
    figures = [replica.figures() for replica in installation.replicas]
    name = "kube_headroom_review_seconds_count"
    return int(sum(each.total(name, charge="promised") for each in figures))


def test_a_failed_scale_gives_its_room_back_when_the_workload_changes(
    cluster: ControlPlane, two: Installation
) -> None:
    """Another webhook denies the scale: the next version of the object shows that it failed."""
    namespace = cluster.namespace("scale")
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web"
    settings = {"headers": {"Content-Type": "application/merge-patch+json"}}
    with OtherWebhook(cluster, namespace), cluster.client(**settings) as http:
        wait_refused(cluster, namespace)
        cluster.apply(deployment(namespace, 0, UNIT))
        wait_until(lambda: controllers_are_done(http.get(path).json()), 30, "the Deployment")
        asked = http.patch(f"{path}/scale", content='{"spec": {"replicas": 50}}')
        assert WORDS in asked.text
        wait_committed(two, 50)
        http.patch(path, content='{"metadata": {"labels": {"seen": "yes"}}}').raise_for_status()
        wait_committed(two, 0)
        empty(cluster, namespace)


def controllers_are_done(obj: dict[str, Any]) -> bool:
    """Whether a new Deployment will not be written to any more."""
    conditions = obj["status"].get("conditions", ())
    return any(each["reason"] == "NewReplicaSetAvailable" for each in conditions)


def test_all_rivals_for_one_name_together_hold_the_room_of_one(
    cluster: ControlPlane, two: Installation, soak: bool
) -> None:
    """The name exists: beside the one that lands, the others count once, not each."""
    namespace, rivals = cluster.namespace("name"), 334 if soak else 60
    before = promised(two)
    answers = asyncio.run(make_pods(cluster, namespace, rivals, 1))
    assert answers == {"admitted": 1, "already exists": rivals - 1}
    print(f"{promised(two) - before} of {rivals} rivals for one name were promised room")
    wait_committed(two, 1, 2)
    empty(cluster, namespace)


def wait_committed(installation: Installation, *units: int) -> None:
    """Wait, for less than the hold, until every replica holds one of these numbers of units."""

    def held() -> bool:
        seen = [replica.figures().committed() / UNIT_BYTES for replica in installation.replicas]
        assert set(seen) <= set(units), seen
        return True

    wait_until(held, AT_ONCE_SECONDS, f"{units} units to be held")
