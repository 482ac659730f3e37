"""What the parts cost on their own: `python -m bench.parts` prints microseconds as JSON.

CPU time of this process, the best of a few rounds: what it costs when nothing disturbs it.
"""

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from bench.cluster import events, fill
from bench.reviews import bodies
from kube_headroom.admission.decision import Decision
from kube_headroom.admission.review import read_review
from kube_headroom.admission.subject import subject_of
from kube_headroom.capacity.headroom import shortfalls
from kube_headroom.capacity.promise import Promise
from kube_headroom.capacity.rules import Rules, capacity_rules
from kube_headroom.capacity.view import View
from kube_headroom.policy.load import DEFAULT_POLICY
from kube_headroom.resources.objects import KubeObject
from kube_headroom.server.metrics import Metrics
from kube_headroom.server.recorder import DecisionRecorder

TITLES: Final = {
    "fit_all": "fit over every node: a pod that fits nowhere, all figures of its denial",
    "fit_new": "the same right after every node changed",
    "room": "room for a pod: sums and fit",
    "decode": "a Pod review decoded",
    "event": "a watch event of a pod: decoded and counted",
    "log": "a decision counted, which is not logged as there is nothing to say",
}
_ROUNDS: Final = 5
_decode = msgspec.json.Decoder(KubeObject).decode


def measure(*, pods: int, nodes: int) -> dict[str, float]:
    """Return microseconds by part."""
    view = View(stale_seconds=float("inf"))
    fill(view, nodes=nodes, pods=pods, now=0.0)
    gc.collect()
    gc.freeze()
    rules = capacity_rules(DEFAULT_POLICY.headroom)
    reviews = bodies("pod")
    promises = [_promise(body, view) for body in reviews]
    too_many = _as_large_as_a_node(promises[0], view)
    changes = list(events(pods, nodes, 2000))

    def judge(promise: Promise, rules: Rules = rules) -> None:
        shortfalls(view.book, promise, rules)

    def judge_anew(promise: Promise) -> None:
        for row in view.book.nodes.rows.values():
            row.frees.clear()
        judge(promise)

    assert shortfalls(view.book, too_many, rules)
    return {
        "fit_all": _best(judge, [too_many] * 20),
        "fit_new": _best(judge_anew, [too_many] * 20),
        "room": _best(judge, promises),
        "decode": _best(read_review, reviews),
        "event": _best(lambda text: view.put("pods", _decode(text)), changes),
        "log": _log_cost(),
    }


def _promise(body: bytes, view: View) -> Promise:
    subject = subject_of(read_review(body), view)
    assert subject is not None
    return subject.promise


def _as_large_as_a_node(promise: Promise, view: View) -> Promise:
    """Ask for a pod as large as an empty node: there is room in all, and none on any node."""
    largest = max(row.allocatable.memory for row in view.book.nodes.rows.values())
    version = promise.version
    requests = msgspec.structs.replace(version.unit.requests, memory=largest)
    unit = msgspec.structs.replace(version.unit, requests=requests)
    return msgspec.structs.replace(promise, version=msgspec.structs.replace(version, unit=unit))


def _log_cost() -> float:
    recorder = DecisionRecorder(Metrics())
    decision = Decision(
        uid="00000000-0000-0000-0000-000000000001",
        operation="CREATE",
        kind="Pod",
        subresource="",
        namespace="team-1",
        name="web-0001",
        object_uid="00000000-0000-0000-0000-000000000002",
        allowed=True,
        outcome="allow",
        mode="enforce",
        policy="0123456789ab",
    )
    return _best(lambda one: recorder.decided(one, 0.0001), [decision] * 4000)


def _best(call: Callable[[Any], object], arguments: Iterable[object]) -> float:
    arguments = list(arguments)
    best = float("inf")
    for _ in range(_ROUNDS):
        started = time.process_time()
        for argument in arguments:
            call(argument)
        best = min(best, time.process_time() - started)
    return best / len(arguments) * 1e6


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--pods", type=int, required=True)
    chosen = parser.parse_args()
    json.dump(measure(pods=chosen.pods, nodes=chosen.nodes), sys.stdout)


if __name__ == "__main__":
    main()
