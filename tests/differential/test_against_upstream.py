"""Kubernetes' own code and ours give the same answers to thousands of generated questions.

Where upstream surprises and we deliberately differ, the exclusion is named in the test.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import msgspec
import pytest

from kube_headroom.resources.amounts import MAX_INT64, Amounts
from kube_headroom.resources.objects import KubeObject
from kube_headroom.resources.placement import NodeFacts, admits, placement_of
from kube_headroom.resources.pod import effective_pod, scheduler_amounts
from kube_headroom.resources.quantity import (
    MAX_EXPONENT,
    NANO,
    NANO_PER_MILLI,
    QuantityError,
    QuantityOutOfRange,
    milli,
    nano,
    whole,
)
from tests.differential.conftest import Ask
from tests.differential.generate import PLAIN, pod, quantity_text, resized
from tests.differential.generate_placements import node, placement

pytestmark = pytest.mark.go

ODD_QUANTITIES = (
    *(
        "",
        "+",
        "-",
        ".",
        "+.",
        "m",
        "k",
        "Ki",
        "Ti",
        "Pi",
        "Ei",
        ".Pi",
        "+Ei",
        "0.Pi",
        "00.Ei",
        "e5",
    ),
    *("e-9", "e-10", ".e-10", " 1Gi ", "\n1\t", "1 Gi", "1_000", "0x1", "1E", "1e", "9Ei", "8Ei"),
    *("10Ei", "-9Ei", "9223372036854775807", "9223372036854775808", "1e19", "10E", "1000E", "1e40"),
    *("0e40", "0.0000000001", "-0.0000000001", "1e-40", "9999999999999999999n", "07e03", "+1e+3"),
)
POD_COUNT = 4000


def test_quantities_mean_what_kubernetes_reads(ask_upstream: Ask) -> None:
    random = Random(1)
    texts = [*PLAIN, *ODD_QUANTITIES, *(quantity_text(random) for _ in range(20_000))]
    answers = ask_upstream([{"quantity": text} for text in texts])
    seen = Counter(
        _compare_quantity(text, answer) for text, answer in zip(texts, answers, strict=True)
    )
    assert min(seen["equal"], seen["malformed"], seen["out of range"]) > 500, seen


def _compare_quantity(text: str, answer: dict[str, Any]) -> str:
    try:
        ours = nano(text)
    except QuantityOutOfRange:
        # Q2 and Q3: upstream accepts these and counts something else; we refuse them.
        theirs = int(answer["nano"])
        assert answer["accepted"], text
        assert abs(theirs) > MAX_INT64 * NANO or _exponent(text) > MAX_EXPONENT, text
        return "out of range"
    except QuantityError:
        assert not answer["accepted"], text
        return "malformed"
    assert answer["accepted"], text
    assert ours == int(answer["nano"]), text
    assert ours == nano(answer["canonical"]), text
    # Below zero, where no resource can be, Value() and MilliValue() of upstream lose the sign.
    if ours >= 0:
        assert whole(text) == answer["whole"], text
        if ours <= MAX_INT64 * NANO_PER_MILLI:
            assert milli(text) == answer["milli"], text
        else:
            with pytest.raises(QuantityOutOfRange):
                milli(text)
    return "equal"


def _exponent(text: str) -> int:
    return abs(int(text.lower().rpartition("e")[2] or 0)) if "e" in text.lower() else 0


def test_pods_ask_for_what_the_scheduler_reserves(ask_upstream: Ask) -> None:
    """Sidecars, init order, overhead, pod-level values and resizes under way, raw as they come."""
    random = Random(2)
    pods = [pod(random, defaulted=False) for _ in range(POD_COUNT)]
    pods = [resized(random, each) if random.random() < 0.6 else each for each in pods]
    answers = ask_upstream([{"pod": each} for each in pods])
    for each, answer in zip(pods, answers, strict=True):
        requests, limits = scheduler_amounts(msgspec.convert(each, KubeObject))
        assert _shown(requests) == answer["scheduledRequests"], each
        assert _shown(limits) == answer["scheduledLimits"], each


def test_defaulted_pods_look_the_same(ask_upstream: Ask) -> None:
    """Requests, limits and QoS class of pods in which every limit has its request."""
    random = Random(3)
    pods = [pod(random, defaulted=True) for _ in range(POD_COUNT)]
    answers = ask_upstream([{"pod": each} for each in pods])
    classes: Counter[str] = Counter()
    for each, answer in zip(pods, answers, strict=True):
        spec = msgspec.convert(each, KubeObject).spec
        assert spec is not None
        effective = effective_pod(spec)
        assert _shown(effective.requests) == answer["requests"], each
        assert _shown(effective.limits) == answer["limits"], each
        assert effective.qos_class == answer["qosClass"], each
        classes[effective.qos_class] += 1
    assert min(classes[name] for name in ("BestEffort", "Burstable", "Guaranteed")) > 20, classes


def test_nodes_take_the_pods_the_scheduler_would_put_there(ask_upstream: Ask) -> None:
    random = Random(4)
    questions = [
        {"pod": placement(random), "nodes": [node(random) for _ in range(20)]} for _ in range(2000)
    ]
    answers = ask_upstream(questions)
    seen: Counter[bool] = Counter()
    for question, answer in zip(questions, answers, strict=True):
        spec = msgspec.convert(question["pod"], KubeObject).spec
        assert spec is not None
        ours = placement_of(spec)
        for each, theirs in zip(question["nodes"], answer["admits"], strict=True):
            assert admits(ours, _facts(each)) == theirs, (question["pod"], each)
            seen[theirs] += 1
    assert min(seen[True], seen[False]) > 5000, seen


def _shown(amounts: Amounts) -> dict[str, int]:
    assert amounts.pods == 1
    return {
        "cpu": amounts.cpu,
        "memory": amounts.memory,
        "ephemeral-storage": amounts.ephemeral_storage,
    }


def _facts(manifest: dict[str, Any]) -> NodeFacts:
    read = msgspec.convert(manifest, KubeObject)
    assert read.spec is not None
    return NodeFacts(
        name=read.metadata.name or "",
        labels={key: value or "" for key, value in (read.metadata.labels or {}).items()},
        taints=tuple(read.spec.taints or ()),
        unschedulable=bool(read.spec.unschedulable),
    )
