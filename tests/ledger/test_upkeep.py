"""What goes on although nobody asks: old promises questioned, stuck watches listed anew."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest

from kube_headroom.admission.decision import Decision
from kube_headroom.admission.ours import Identity
from kube_headroom.admission.reviewer import Reviewer
from kube_headroom.capacity.view import View
from kube_headroom.cluster.client import Client
from kube_headroom.cluster.reflector import Reflector, ReflectorSettings
from kube_headroom.cluster.resource_paths import RESOURCES
from kube_headroom.errors import ClusterUnavailable
from kube_headroom.policy.load import DEFAULT_POLICY
from kube_headroom.server.upkeep import question_old_promises, relist_laggards
from tests.admission.scene import settled
from tests.cluster.fake_api import FakeApi, page, pod, stream
from tests.cluster.recording import until
from tests.ledger.cluster import FakeCluster, Follower, made
from tests.ledger.committing import Server, servers
from tests.ledger.virtual_time import run


class FakeVersions:
    """Whoever follows the cluster."""

    def __init__(self, version: int = 0) -> None:
        self.version = version
        self.hurried: list[str] = []
        self.relisted: list[str] = []

    async def current_version(self, plural: str) -> str:
        if not self.version:
            raise ClusterUnavailable("down")
        return str(self.version)

    def hurry(self, plural: str) -> None:
        self.hurried.append(plural)

    def relist(self, plural: str) -> None:
        self.relisted.append(plural)


def promised(view: View, follower: Follower) -> None:
    view.ledger.add(follower.promise("pods", made("pods", "u1", 1), 0), 0.0)


def test_an_old_promise_ends_when_the_view_has_passed_the_proof() -> None:
    """A quiet type is hurried, so that this takes no minute."""

    async def main() -> None:
        follower = Follower(FakeCluster(5))
        view, versions = follower.view, FakeVersions()
        promised(view, follower)
        await question_old_promises(view, versions, lambda: 74.0)
        assert versions.hurried == []
        await question_old_promises(view, versions, lambda: 75.0)
        assert len(view.ledger) == 1, "nobody could be asked, so nothing is proven"
        versions.version = 50
        await question_old_promises(view, versions, lambda: 76.0)
        assert (len(view.ledger), versions.hurried) == (1, ["pods"])
        view.progress("pods", "49", 77.0)
        await question_old_promises(view, versions, lambda: 77.0)
        assert len(view.ledger) == 1
        view.progress("pods", "50", 78.0)
        await question_old_promises(view, versions, lambda: 78.0)
        assert len(view.ledger) == 0

    run(main())


def test_what_lags_for_ten_seconds_is_listed_anew() -> None:
    async def main() -> None:
        versions, lagging = FakeVersions(), ["pods", "policy"]
        clock = asyncio.get_running_loop().time
        task = asyncio.create_task(relist_laggards(lambda: tuple(lagging), versions, clock))
        await asyncio.sleep(10)
        assert versions.relisted == []
        await asyncio.sleep(6)
        assert versions.relisted == ["pods"]
        lagging.clear()
        await asyncio.sleep(60)
        assert versions.relisted == ["pods"]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(main())


async def test_a_hurried_watch_goes_on_where_it_was_for_a_short_time(tmp_path) -> None:
    """No list: the API server tells how far a short watch is shortly before its end."""
    lists = [page([pod("a", 5)], 7)]
    watches = [stream(then="hold"), stream(then="hold")]
    async with FakeApi(lists=lists, watches=watches) as api:
        client = await Client.connect(api.kubeconfig(tmp_path))
        reflector = Reflector(client, RESOURCES["pods"], View(), ReflectorSettings())
        task = asyncio.create_task(reflector.run())
        try:
            await until(lambda: len(api.asked_to("watches")) == 1, "the first watch")
            reflector.hurry()
            await until(lambda: len(api.asked_to("watches")) == 2, "the second")
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await client.close()
        first, second = api.asked_to("watches")
        assert int(first.query["timeoutSeconds"]) >= 300
        assert second.query["timeoutSeconds"] == "3"
        assert second.query["resourceVersion"] == "7"
        assert len(api.asked_to("lists")) == 1


class Nobody:
    """Records nothing."""

    def decided(self, decision: Decision, seconds: float) -> None:
        """Forget it."""


def test_a_scale_is_not_judged_beside_a_template_that_another_replica_has_replaced() -> None:
    """1 pod of 1Mi grows to 4Mi through one replica; the other, not yet told, scales it to 3.

    3 x 1Mi would fit, 3 x 4Mi do not.
    """

    async def main() -> None:
        async with servers(2, room=10) as (store, (first, second)):
            store.cluster.put("deployments", made("deployments", "d", 1))
            base = store.cluster.version
            for server in (first, second):
                server.follower.deliver("deployments")
            store.listeners.remove(second.committer)
            assert await first.ask("d", 1, base=base, units=4) == "allowed"
            store.cluster.put("deployments", made("deployments", "d", 1, 4))
            reviewer = reviewer_of(second)
            with pytest.raises(ClusterUnavailable):
                await settled(reviewer.review(scale_review(store.cluster.version)))
            second.follower.deliver("deployments")
            body = await settled(reviewer.review(scale_review(store.cluster.version)))
            answer = msgspec.json.decode(body)["response"]
            assert (answer["allowed"], answer["status"]["code"]) == (False, 403)

    run(main())


def reviewer_of(server: Server) -> Reviewer:
    clock = asyncio.get_running_loop().time
    reviewer = Reviewer(
        Identity("guard", "policy"), server.follower.view, server.committer, Nobody(), clock=clock
    )
    reviewer.policy = DEFAULT_POLICY
    return reviewer


def scale_review(base: int) -> bytes:
    def scale(replicas: int) -> dict:
        metadata = {"name": "d", "namespace": "shop", "uid": "d", "resourceVersion": str(base)}
        spec = {"replicas": replicas}
        return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec}

    request = {
        "uid": "r1",
        "kind": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
        "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "subResource": "scale",
        "name": "d",
        "namespace": "shop",
        "operation": "UPDATE",
        "userInfo": {"username": "alice", "groups": []},
        "object": scale(3),
        "oldObject": scale(1),
        "dryRun": False,
    }
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return json.dumps(review).encode()
