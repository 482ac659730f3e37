"""Case files: a list of cases, each with a name, in YAML beside the tests."""

from pathlib import Path
from typing import Any

import yaml


def load_cases(name: str) -> list[dict[str, Any]]:
    """Return the cases of one file."""
    cases: list[dict[str, Any]] = yaml.safe_load(
        (Path(__file__).parent / "cases" / name).read_text()
    )
    names = [case["name"] for case in cases]
    assert len(names) == len(set(names)), f"{name}: a name stands twice"
    return cases


def case_name(case: dict[str, Any]) -> str:
    """Return what a case is called in the test's id."""
    return str(case["name"])
