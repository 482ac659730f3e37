"""The requirement checks, case by case."""

import msgspec
import pytest

from kube_headroom.policy.checks import requirement_violations
from kube_headroom.policy.model import Requirements
from kube_headroom.policy.scope import matcher
from kube_headroom.resources.defaults import limit_range_defaults
from kube_headroom.resources.objects import KubeObject, PodSpec
from kube_headroom.resources.pod import effective_pod
from tests.policy.case_files import case_name, load_cases


def limit_range(given):
    obj = {"kind": "LimitRange", "metadata": {"name": given["name"]}, "spec": given["spec"]}
    return limit_range_defaults(msgspec.convert(obj, KubeObject))


@pytest.mark.parametrize("case", load_cases("requirements.yaml"), ids=case_name)
def test_requirements(case):
    """A pod's violations are all named at once: code, container, field, message."""
    pod = effective_pod(
        msgspec.convert(case["pod"], PodSpec),
        limit_ranges=[limit_range(given) for given in case.get("limitRanges", [])],
    )
    found = requirement_violations(
        pod,
        Requirements.model_validate(case.get("requirements", {})),
        path="spec",
        exempt_images=matcher(case["exemptImages"]) if "exemptImages" in case else None,
    )
    shown = [
        f"{one.code} {one.container or '-'} {one.path.removeprefix('spec').removeprefix('.')}:"
        f" {one.message}"
        for one in found
    ]
    assert shown == case["found"]


def test_violations_come_in_container_order_then_by_code():
    spec = msgspec.convert({"containers": [{"name": "b"}, {"name": "a"}]}, PodSpec)
    found = requirement_violations(effective_pod(spec), Requirements(), path="spec.template.spec")
    assert [(one.container, one.code) for one in found] == [
        (name, code) for name in ("b", "a") for code in ("HR101", "HR102", "HR103", "HR104")
    ]
    assert found[0].path == "spec.template.spec.containers[0].resources.requests.cpu"
    assert {one.action for one in found} == {"enforce"}


def test_every_requirement_code_has_a_case():
    """A code that no case shows is a code nobody has seen at work."""
    shown = {text.split()[0] for case in load_cases("requirements.yaml") for text in case["found"]}
    assert shown == {f"HR{number}" for number in (*range(101, 112), 303)}
