"""Whatever a stranger sends, a review is no review, or it is answered; and nothing piles up."""

import json
import resource
import time
import tracemalloc

import pytest

from kube_headroom.errors import ClusterUnavailable, MalformedReview
from tests.admission.hostile import DEEP, hostile_bodies
from tests.admission.scene import Scene, review_of, settled
from tests.admission.test_cases import CASES, check_contract

CLUSTER = [
    {"kind": "Node", "name": "n1"},
    {"kind": "Node", "name": "n2", "taints": [{"key": "gpu", "effect": "NoSchedule"}]},
    {"kind": "Deployment", "name": "shop/web", "replicas": 2, "pod": {"containers": {"web": None}}},
]
POLICY = {"requirements": {"minimum": {"memory": "1Mi"}, "maxLimitRequestRatio": {"memory": 4}}}


def reviews():
    """Return every request of the case files."""
    steps = [step for case in CASES for step in case.get("steps", [case])]
    return [review_of(step) for step in steps if "show" not in step]


async def outcome(scene, body):
    """Return what becomes of one body; anything but an answer or the two refusals is a bug."""
    try:
        answer = await settled(scene.reviewer.review(body))
    except MalformedReview:
        return "malformed"
    except ClusterUnavailable:
        return "unavailable"
    finally:
        scene.decisions.clear()
    review = json.loads(answer.decode())
    assert (review["apiVersion"], review["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    uid = json.loads(body.decode(), parse_constant=pytest.fail)["request"]["uid"]
    check_contract(review["response"], uid=uid, longest=513)
    codes = review["response"]["auditAnnotations"].get("codes", "")
    assert all(code.startswith("HR") for code in codes.split(",") if code)
    return "allowed" if review["response"]["allowed"] else "denied"


async def test_hostile_reviews(soak):
    """Broken reviews end in one of four ways, each of which occurs."""
    scene = Scene({"cluster": CLUSTER, "policy": POLICY})
    count = 50_000 if soak else 3_000
    seen: dict[str, int] = {}
    for body in hostile_bodies(reviews(), seed=1, count=count):
        try:
            found = await outcome(scene, body)
        except Exception as error:
            error.add_note(f"body: {body[:2000]!r}")
            raise
        seen[found] = seen.get(found, 0) + 1
    print(seen)
    assert seen.keys() == {"malformed", "unavailable", "allowed", "denied"}
    assert seen["denied"] > count // 10


def deployment(pod, **metadata):
    step = {"create": {"kind": "Deployment", "name": "shop/web", "replicas": 1, "pod": pod}}
    review = review_of(step)
    review["request"]["object"]["metadata"].update(metadata)
    return json.dumps(review).encode()


WHOLE = {"memory": "1Mi", "cpu": "1m"}
LARGE = {
    "a million containers": deployment({"containers": [{}] * 1_000_000}),
    "a million named containers": deployment({"containers": [{"name": "a"}] * 1_000_000}),
    "as many containers as are read": deployment({"containers": [{"name": "a"}] * 1000}),
    "3 MiB of annotations": deployment({"containers": {"a": WHOLE}}, annotations={"a": "x" * 3_000_000}),
    "100,000 annotations": deployment(
        {"containers": {"a": WHOLE}}, annotations={f"a{i}": "x" * 20 for i in range(100_000)}
    ),
    "a name of a million characters": deployment({"containers": {"a" * 1_000_000: None}}),
    "a quantity of a million digits": deployment({"containers": {"a": {"memory": "9" * 1_000_000}}}),
    "a number of 4000 digits": deployment({"containers": {"a": {"memory": 10**4000}}}),
    "an exponent of a million digits": deployment({"containers": {"a": {"memory": "1e" + "9" * 1_000_000}}}),
    "100,000 node selectors": deployment(
        {"nodeSelector": {f"k{i}": "v" for i in range(100_000)}, "containers": {"a": WHOLE}}
    ),
    "100,000 tolerations": deployment(
        {"tolerations": [{"key": f"k{i}"} for i in range(100_000)], "containers": {"a": WHOLE}}
    ),
    "100,000 owners": deployment(
        {"containers": {"a": WHOLE}}, ownerReferences=[{"kind": "Pod", "controller": True}] * 100_000
    ),
    "nested lists": b'{"request":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "nested objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "a nested object": deployment({"containers": {"a": WHOLE}}).replace(
        b'"replicas": 1', b'"selector": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP
    ),
    "nothing": b"",
    "blanks": b" " * 3_000_000,
    "8 MiB of nothing": b"\0" * 8_000_000,
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
async def test_large_reviews_cost_little(name):
    """A body of any shape within the size that is read takes a second at most, slow machine or not."""
    scene = Scene({"cluster": CLUSTER, "policy": POLICY})
    started = time.process_time()
    await outcome(scene, LARGE[name])
    assert time.process_time() - started < 2


@pytest.mark.parametrize("kind", ["node selectors", "tolerations", "quantities", "names", "users"])
async def test_nothing_piles_up(kind, soak):
    """Ever different reviews leave no more behind than a bounded memory of small things."""
    scene = Scene({"cluster": CLUSTER, "policy": {"mode": "warn"}})
    long = "x" * 20_000
    size = 0

    def body(i):
        container = {"memory": f"{i}Ki", "cpu": "1m"}
        pod = {"containers": {"a": container}}
        name = "shop/web"
        if kind == "node selectors":
            pod["nodeSelector"] = {f"{long}{i}": "v"}
        elif kind == "tolerations":
            pod["tolerations"] = [{"key": f"{long}{i}"}]
        elif kind == "quantities":
            container["memory"] = f"{i}{'0' * 20_000}"
        elif kind == "names":
            name = f"{long}{i}/web"
        step = {"create": {"kind": "Pod", "name": name, "pod": pod}, "dry_run": True}
        if kind == "users":
            step["by"] = f"{long}{i}"
        return json.dumps(review_of(step)).encode()

    for i in range(200):
        await outcome(scene, body(i))
    tracemalloc.start()
    try:
        count = 20_000 if soak else 1_000
        before = tracemalloc.get_traced_memory()[0]
        for i in range(200, 200 + count):
            await outcome(scene, body(i))
        size = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    print(kind, size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    assert size < 4_000_000 + count * 1000
