"""Decisions, case by case: who sends what into which cluster, and every word of the answer."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from kube_headroom.errors import ClusterUnavailable
from tests.admission.scene import Scene

FOLDER = Path(__file__).parent / "cases"
MAX_LINE = 150
MAX_POLICY_LINE = 200  # a fault names every key that would be right


def load() -> list[dict[str, Any]]:
    """Return all cases of all files; a file's `given` holds for each of its cases."""
    files = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))}
    cases = [
        {**content.get("given", {}), **case, "id": f"{stem}: {case['name']}"}
        for stem, content in files.items()
        for case in content["cases"]
    ]
    assert len({case["id"] for case in cases}) == len(cases), "a name stands twice"
    return cases


CASES = load()


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
async def test_case(case):
    """Verdict, codes, message, warnings and charge are as the case says, to the letter."""
    scene = Scene(case)
    for step in case.get("steps", [case]):
        if "show" in step:
            scene.show(step["show"])
            continue
        answer = await scene.send(step)
        expected = step["answer"]
        if isinstance(answer, ClusterUnavailable):
            assert {"unavailable": str(answer)} == expected
            continue
        assert shown(answer.response, answer.decision) == expected
        check_contract(answer.response)


def shown(response, decision):
    """Return an answer in the words of the case files; what is empty is left out."""
    status = response.get("status", {})
    annotations = dict(response["auditAnnotations"])
    annotations.pop("policy")
    annotations.pop("finding", None)
    result = {
        "allowed": response["allowed"],
        "outcome": decision.outcome,
        "codes": " ".join(decision.codes),
        "says": status.get("message", ""),
        "warnings": response.get("warnings", []),
        "exemption": annotations.get("exemption", ""),
        "charge": decision.charge,
    }
    return {key: value for key, value in result.items() if value not in ("", [])}


def check_contract(response, *, uid="705ab4f5-6393-11e8-b7cc-42010a800002", longest=MAX_LINE):
    """What kube-apiserver and people's terminals ask of every answer."""
    assert response["uid"] == uid
    assert response.keys() <= {"uid", "allowed", "status", "warnings", "auditAnnotations"}
    warnings = response.get("warnings", [])
    assert all(len(text) <= 256 and text.isprintable() for text in warnings)
    assert sum(map(len, warnings)) <= 1024
    if response["allowed"]:
        assert "status" not in response
        return
    assert (response["status"]["code"], response["status"]["reason"]) == (403, "Forbidden")
    lines = response["status"]["message"].split("\n")
    assert all(line.isprintable() for line in lines)
    most = max(longest, MAX_POLICY_LINE) if "HR302" in lines[1] else longest
    assert max(map(len, lines)) <= most


def test_every_code_has_a_case():
    """A code that no case shows is a code nobody has seen at work."""
    steps = [step for case in CASES for step in case.get("steps", [case])]
    codes = {code for step in steps for code in step.get("answer", {}).get("codes", "").split()}
    assert codes == {
        *(f"HR{number}" for number in (*range(101, 112), *range(201, 211), 301, 302, 303)),
    }
