"""How many would be let in, held to the decision itself: so many are, and not one more."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest

from kube_headroom.admission.decision import Decision
from kube_headroom.admission.simulation import Simulator
from kube_headroom.capacity.view import RESOURCES
from kube_headroom.cluster.snapshot import fill_view
from kube_headroom.policy.model import Policy
from kube_headroom.resources.objects import KubeObject
from tests.cli.random_clusters import Object, nodes, pod

POLICIES: tuple[Object, ...] = (
    {},
    {"headroom": {"memory": {"reserve": "10%"}, "cpu": {"requests": "enforce"}, "spareNodes": 1}},
    {"headroom": {"fit": "off", "memory": {"limits": "enforce", "maximumLimits": "120%"}}},
    {"headroom": {"pods": "off", "fit": "off"}},
)


def to_object(body: Object) -> KubeObject:
    return msgspec.convert(body, KubeObject)


def workload(random: Random, name: str, replicas: int, kind: str = "Deployment") -> Object:
    template = pod(random, "shop", name)["spec"]
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop", "uid": name, "resourceVersion": "5"},
        "spec": {"replicas": replicas, "template": {"spec": template}},
    }


def owned(random: Random, parent: Object, count: int, names: list[str]) -> list[Object]:
    """Return some pods of a workload: assigned, waiting, or on their way out."""
    owner = {"apiVersion": "apps/v1", "kind": parent["kind"], "controller": True}
    owner |= {"name": parent["metadata"]["name"], "uid": parent["metadata"]["uid"]}
    made = []
    for index in range(count):
        name = f"{parent['metadata']['name']}-{index}"
        metadata: Object = {"name": name, "namespace": "shop", "uid": name}
        metadata["ownerReferences"] = [owner]
        if random.random() < 0.2:
            metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        spec = dict(parent["spec"]["template"]["spec"])
        if random.random() < 0.8:
            spec["nodeName"] = random.choice(names)
        made.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    return made


def cluster(random: Random) -> list[Object]:
    """Return nodes, pods without an owner, and two StatefulSets of which some pods are there."""
    made = nodes(random, "n", random.choice((1, 4, 8)))
    names = [each["metadata"]["name"] for each in made]
    for index in range(random.randrange(8)):
        bare = pod(random, "shop", f"bare{index}")
        if random.random() < 0.7:
            bare["spec"]["nodeName"] = random.choice(names)
        made.append(bare)
    for name in ("one", "two"):
        replicas = random.randrange(6)
        parent = workload(random, name, replicas, "StatefulSet")
        made += [parent, *owned(random, parent, random.randrange(replicas + 1), names)]
    return made


def simulator(policy: Object, objects: list[Object]) -> Simulator:
    made = Simulator(Policy.model_validate(policy))
    present = [to_object(each) for each in objects]
    fill_view(made.view, present, resources=RESOURCES)
    made.present(present)
    return made


def is_short(decision: Decision) -> bool:
    """Whether it is refused for want of room."""
    return any(one.effect == "enforce" and one.code.startswith("HR2") for one in decision.findings)


async def decided(policy: Object, objects: list[Object], manifest: Object, replicas: int) -> bool:
    body: Any = {**manifest, "spec": {**manifest["spec"], "replicas": replicas}}
    return is_short((await simulator(policy, objects).simulate(to_object(body))).decision)


@pytest.mark.parametrize("policy", POLICIES, ids=["default", "reserves", "sums", "bytes"])
async def test_so_many_replicas_are_let_in_and_not_one_more(policy: Object, soak: bool) -> None:
    """Whatever number the manifest itself asks for, of new workloads and of those that are there."""
    bounded = 0
    for seed in range(1000 if soak else 60):
        random = Random(seed)
        objects = cluster(random)
        name, asked = random.choice(("new", "one")), random.choice((1, 3, 1000))
        manifest = workload(random, name, asked, "StatefulSet")
        present = next((one for one in objects if one["metadata"]["name"] == name), None)
        if present is not None:
            manifest["spec"]["template"] = present["spec"]["template"]
        found = await simulator(policy, objects).simulate(to_object(manifest))
        most = found.max_replicas
        if most:
            assert not await decided(policy, objects, manifest, most), seed
        desired = present["spec"]["replicas"] if present else 0
        if most >= desired:  # what declares no more is let in, room or not
            enforced = await decided(policy, objects, manifest, most + 1)
            bounded += enforced
            assert enforced or policy is POLICIES[3], seed
    assert bounded > 10


async def test_so_many_more_pods_are_let_in_and_not_one_more(soak: bool) -> None:
    """One after the other, each waiting for a node when the next one comes."""
    for seed in range(300 if soak else 30):
        random = Random(seed)
        objects, manifest = cluster(random), pod(random, "shop", "more")
        fresh = simulator({}, objects)
        most = (await fresh.simulate(to_object(manifest))).max_replicas
        made = to_object(manifest).spec
        assert made is not None
        created = msgspec.to_builtins(fresh.view.completion.created_spec(made, "shop"))
        for count in {max(0, most - 1), most}:
            waiting = [
                {
                    **manifest,
                    "metadata": {**manifest["metadata"], "name": f"w{index}"},
                    "spec": created,
                }
                for index in range(count)
            ]
            found = await simulator({}, [*objects, *waiting]).simulate(to_object(manifest))
            assert is_short(found.decision) == (count == most), (seed, count, most)
            assert found.max_replicas == most - count, seed
