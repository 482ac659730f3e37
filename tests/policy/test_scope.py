"""Which part of a policy binds a request."""

import json
from datetime import date

import pytest

from kube_headroom.policy.load import load_policy
from kube_headroom.policy.scope import Scopes
from tests.policy.case_files import case_name, load_cases

IMAGES = ("nginx", "registry.example/batch/a")


@pytest.mark.parametrize("case", load_cases("scopes.yaml"), ids=case_name)
def test_scopes(case):
    """Mode, requirements and exemptions follow from namespace, labels, user and day."""
    scope = Scopes(load_policy(json.dumps(case.get("policy", {})))).scope_for(
        namespace="shop",
        namespace_labels=case.get("labels", {}),
        user="mia",
        groups=("dev", "system:authenticated"),
        today=lambda: date(2027, 1, 1),
    )
    expected = dict(case["found"])
    found = {"mode": scope.mode}
    if scope.exemption is not None:
        found["exemption"] = scope.exemption
    if scope.exempt_images is not None:
        found["images"] = [image for image in IMAGES if scope.exempt_images(image)]
    for basis in ("requests", "limits"):
        if basis in expected:
            found[basis] = list(getattr(scope.requirements, basis))
    assert found == expected


@pytest.mark.parametrize(
    ("mode", "capped"),
    [
        ("enforce", {"enforce": "enforce", "warn": "warn", "off": "off"}),
        ("warn", {"enforce": "warn", "warn": "warn", "off": "off"}),
        ("audit", {"enforce": "audit", "warn": "audit", "off": "off"}),
    ],
)
def test_the_mode_caps_every_action(mode, capped):
    scope = Scopes(load_policy(f"mode: {mode}")).scope_for(
        namespace="shop",
        namespace_labels={},
        user="mia",
        groups=(),
        today=lambda: date(2027, 1, 1),
    )
    assert {action: scope.cap(action) for action in capped} == capped


def test_what_is_kept_of_a_namespace_follows_its_labels():
    """A namespace that gets a label is bound by it at the next request."""
    scopes = Scopes(load_policy("mode: audit"))
    modes = [
        scopes.scope_for(
            namespace="shop",
            namespace_labels=labels,
            user="mia",
            groups=(),
            today=lambda: date(2027, 1, 1),
        ).mode
        for labels in ({}, {"kube-headroom.io/enforce": "true"}, {})
    ]
    assert modes == ["audit", "enforce", "audit"]
