"""The chart takes the values it documents and refuses, in plain words, what would not work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from kube_headroom.policy.checks import requirement_violations
from kube_headroom.policy.load import DEFAULT_POLICY, load_policy
from kube_headroom.policy.model import Requirements
from kube_headroom.policy.schema import policy_schema
from kube_headroom.resources.objects import KubeObject
from kube_headroom.resources.pod import effective_pod
from kube_headroom.resources.workload import workload_of
from tests.chart.render import CHART, NAMESPACE, RenderError, helm, objects, only, policy_config_map
from tests.chart.values_table import README, with_table

CASES = yaml.safe_load((Path(__file__).parent / "cases.yaml").read_text())


def named(case: dict[str, Any]) -> str:
    return str(case["name"])


def test_helm_lint_finds_nothing():
    assert "0 chart(s) failed" in helm("lint", "--strict", CHART)


@pytest.mark.parametrize("case", CASES["refused"], ids=named)
def test_what_would_not_work_is_refused_in_words(case):
    with pytest.raises(RenderError) as refusal:
        objects(case.get("values"), namespace=case.get("namespace", NAMESPACE))
    for words in case["words"]:
        assert words in str(refusal.value)


@pytest.mark.parametrize("case", CASES["policies"], ids=named)
def test_the_policy_arrives_as_written_beside_the_defaults(case):
    arrived = policy_config_map(case["policy"])["data"]["policy.yaml"]
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert load_policy(arrived) == load_policy(
        yaml.safe_dump(_merged(values["policy"], case["policy"]))
    )
    assert load_policy(arrived) != DEFAULT_POLICY


def test_the_charts_policy_is_the_servers_default():
    """Installing with and without the chart's defaults means the same rules."""
    assert load_policy(policy_config_map()["data"]["policy.yaml"]) == DEFAULT_POLICY


def test_the_chart_passes_its_own_policy():
    """What refuses others without requests and limits declares its own."""
    deployment = workload_of(msgspec.convert(only("Deployment", objects()), KubeObject))
    assert deployment is not None
    pod = effective_pod(deployment.template)
    requirements = load_policy(policy_config_map()["data"]["policy.yaml"]).requirements
    assert requirement_violations(pod, requirements, path=deployment.template_path) == ()
    assert requirement_violations(pod, Requirements(qosClass="Guaranteed"), path="") != ()


def test_the_values_schema_knows_exactly_the_policys_keys():
    """A policy key is written down twice, and the two agree."""
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    served = policy_schema()
    assert _keys(schema["properties"]["policy"], schema) == _keys(served, served)


def test_the_readmes_table_is_made_from_the_values_comments():
    """`python -m tests.chart.values_table` after a change of values.yaml."""
    assert with_table(README.read_text()) == README.read_text()


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Merge as Helm does: mappings key by key, anything else replaced."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merged(result[key], value) if both else value
    return result


def _keys(schema: dict[str, Any], root: dict[str, Any], path: str = "") -> set[str]:
    """Return the paths of all properties, through references, lists and alternatives."""
    found = set()
    if reference := schema.get("$ref"):
        target: Any = root
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
        found |= _keys(target, root, path)
    for inner in (schema.get("items"), *schema.get("anyOf", ()), *schema.get("allOf", ())):
        found |= _keys(inner, root, path) if inner else set()
    for name, inner in schema.get("properties", {}).items():
        found |= {f"{path}.{name}"} | _keys(inner, root, f"{path}.{name}")
    return found
