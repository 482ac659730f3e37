"""docs/flows.md names tests that exist, and every flow that has a test is in it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
TABLE = HERE.parents[1] / "docs" / "flows.md"
ROW = re.compile(r"^\| (?P<flow>.+?) \| (?P<shown>.+) \|$", re.MULTILINE)
TEST = re.compile(r"`(test_\w+\.py)::(test_\w+)`")


def rows() -> dict[str, str]:
    found = {match["flow"]: match["shown"] for match in ROW.finditer(TABLE.read_text())}
    del found["what happens"]
    return found


def claims_of(path: Path) -> set[tuple[str, str]]:
    module = ast.parse(path.read_text())
    functions = (each for each in module.body if isinstance(each, ast.FunctionDef))
    return {(path.name, each.name) for each in functions if each.name.startswith("test_")}


def test_every_row_names_a_test_or_says_what_is_missing() -> None:
    assert [flow for flow, shown in rows().items() if not TEST.search(shown)] == [
        flow for flow, shown in rows().items() if shown.startswith("missing: ")
    ]
    assert len(rows()) > 40


def test_every_named_test_exists() -> None:
    named = {found for shown in rows().values() for found in TEST.findall(shown)}
    assert named <= {found for path in HERE.glob("test_*.py") for found in claims_of(path)}


def test_every_flow_that_is_tested_is_in_the_table() -> None:
    named = {found for shown in rows().values() for found in TEST.findall(shown)}
    assert {found for path in HERE.glob("test_flows_*.py") for found in claims_of(path)} <= named
