"""The case files of this folder: a new case is YAML, not Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parent / "cases"


def cases_of(name: str) -> list[Any]:
    """Return the cases of a file as parameters, named by themselves."""
    cases = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return [pytest.param(case, id=str(case.get("name", case))) for case in cases]
