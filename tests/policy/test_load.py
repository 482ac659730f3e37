"""Policies: every fault of a broken one, and what good ones mean."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kube_headroom.errors import PolicyError
from kube_headroom.policy.load import (
    DEFAULT_POLICY,
    load_policy,
    policy_data,
    policy_hash,
)
from kube_headroom.policy.schema import policy_schema
from tests.policy.case_files import case_name, load_cases

FULL = """
mode: warn
requirements:
  requests: [cpu]
  limits: []
  maxLimitRequestRatio: {memory: 1.5, cpu: 4}
  minimum: {memory: 16Mi, cpu: 10m, ephemeral-storage: 1000}
  maximum: {memory: 1.5Gi}
  qosClass: Burstable
headroom:
  memory: {requests: warn, limits: off, reserve: 12.5%, maximumLimits: 100%}
  cpu: {reserve: 1500m}
  ephemeralStorage: {requests: enforce, reserve: 8Gi}
  pods: warn
  fit: off
  spareNodes: 2
  surge: 50%
  ignorePriorityBelow: -10
  pendingHoldSeconds: 0
  autoscalers: {calls: enforce, count: maximum}
  elastic: on
allowNamespacesToLoosen: true
exemptions:
  - {reason: x, images: ["*"], until: 2027-02-03}
namespaces:
  - {names: [dev], mode: audit, requirements: {requests: []}}
"""


@pytest.mark.parametrize("case", load_cases("broken.yaml"), ids=case_name)
def test_broken_policies(case):
    """Every fault is named with line, field and what is allowed; nothing is loaded."""
    with pytest.raises(PolicyError) as caught:
        load_policy(case["policy"], source="p.yaml")
    assert list(caught.value.faults) == [f"p.yaml:{fault}" for fault in case["faults"]]


def a_policy_gone_wrong(section, replacements):
    """Strategies: any part of a policy replaced by anything, any key added."""
    if isinstance(section, dict):
        known = {key: a_policy_gone_wrong(value, replacements) for key, value in section.items()}
        right = st.fixed_dictionaries({}, optional={**known, "unknown": replacements})
        return st.one_of(right, right, right, replacements)
    if isinstance(section, list):
        return st.one_of(
            st.lists(st.one_of(*(a_policy_gone_wrong(one, replacements) for one in section))),
            replacements,
        )
    return st.one_of(st.just(section), replacements)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "off", "10%", "1Gi", "{}", "10e999999", "2027-01-01", "-1", "ä" * 99])
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=3,
)


@given(a_policy_gone_wrong(policy_data(load_policy(FULL)), ANYTHING))
@settings(max_examples=500, deadline=None)
def test_any_policy_loads_or_names_its_faults(data):
    """However wrong a policy is, its author gets faults and not a traceback."""
    faults = faults_of(json.dumps(data))
    assert all(fault.startswith("policy.yaml:1: ") for fault in faults)
    if not faults:
        shown = policy_data(load_policy(json.dumps(data)))
        assert policy_data(load_policy(json.dumps(shown))) == shown


def faults_of(text):
    try:
        load_policy(text)
    except PolicyError as error:
        return error.faults
    return ()


def test_at_least_fifty_broken_policies_are_known():
    assert len(load_cases("broken.yaml")) >= 50


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "mode:\n", "headroom: {memory: null}"])
def test_what_is_not_given_is_the_default(text):
    assert load_policy(text) == DEFAULT_POLICY


def test_values_are_exact_integers():
    policy = load_policy(FULL)
    assert policy.requirements.minimum.named == (
        ("cpu", 10),
        ("memory", 16 * 1024**2),
        ("ephemeral-storage", 1000),
    )
    assert policy.requirements.max_limit_request_ratio.named == (("cpu", 4000), ("memory", 1500))
    assert policy.headroom.memory.reserve.basis_points == 1250
    assert policy.headroom.cpu.reserve.amount == 1500
    assert policy.headroom.ephemeral_storage.reserve.amount == 8 * 1024**3
    assert policy.headroom.surge == 5000


def test_bare_on_and_off_mean_what_they_say():
    """To YAML they are booleans."""
    policy = load_policy(FULL)
    assert (policy.headroom.memory.limits, policy.headroom.elastic) == ("off", "on")


def test_large_numbers_as_helm_writes_them():
    policy = load_policy(
        "headroom: {ignorePriorityBelow: -1e+06}\nrequirements: {maximum: {memory: 1.073741824e+09}}"
    )
    assert policy.headroom.ignore_priority_below == -1_000_000
    assert policy.requirements.maximum.memory == 1024**3


def test_an_override_is_complete_once_loaded():
    override = load_policy(FULL).namespaces[0]
    assert override.requirements is not None
    assert (override.requirements.requests, override.requirements.limits) == ((), ())
    assert override.requirements.qos_class == "Burstable"


def test_a_policy_shown_loads_back_to_itself():
    policy = load_policy(FULL)
    again = load_policy(json.dumps(policy_data(policy)))
    assert policy_data(again) == policy_data(policy)
    assert policy_hash(again) == policy_hash(policy)


def test_the_hash_names_the_meaning_not_the_layout():
    assert policy_hash(load_policy("mode: enforce # as ever\n")) == policy_hash(DEFAULT_POLICY)
    assert policy_hash(load_policy("mode: warn")) != policy_hash(DEFAULT_POLICY)


def test_a_policy_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        DEFAULT_POLICY.mode = "warn"


def test_lines_count_from_where_the_text_starts():
    """Inside a ConfigMap a policy starts further down."""
    with pytest.raises(PolicyError, match=r"^cm.yaml:8: mode: "):
        load_policy("\nmode: x", source="cm.yaml", first_line=7)


def test_the_schema_describes_every_key():
    """Editors show the meaning of each key."""

    schema = policy_schema()
    for part in (schema, *schema["$defs"].values()):
        for name, field in part.get("properties", {}).items():
            assert field.get("description") or "$ref" in field, name
