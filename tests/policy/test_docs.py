"""docs/policy.md and docs/codes.md say what the code says. UPDATE_DOCS=1 brings the table up to date."""

import os
import re
from pathlib import Path

import pytest

from kube_headroom.policy.load import DEFAULT_POLICY, load_policy
from tests.policy.reference import replaced

ROOT = Path(__file__).parents[2]
POLICY = ROOT / "docs" / "policy.md"
CODES = ROOT / "docs" / "codes.md"


def yaml_blocks():
    return re.findall(r"```yaml\n(.*?)```", POLICY.read_text(), re.DOTALL)


def test_the_reference_is_the_models():
    if os.environ.get("UPDATE_DOCS"):
        POLICY.write_text(replaced(POLICY.read_text()))
    assert POLICY.read_text() == replaced(POLICY.read_text()), "run this test with UPDATE_DOCS=1"


def test_the_commented_example_is_the_default_policy():
    assert load_policy(yaml_blocks()[0]) == DEFAULT_POLICY


@pytest.mark.parametrize("text", yaml_blocks(), ids=lambda text: text.split(":")[0])
def test_every_example_loads(text):
    load_policy(text)


def test_every_code_in_the_source_is_explained():
    source = "".join(path.read_text() for path in (ROOT / "app").rglob("*.py"))
    explained = re.findall(r"^\| (HR\d{3}) ", CODES.read_text(), re.MULTILINE)
    assert explained == sorted(set(explained))
    assert set(re.findall(r"HR\d{3}", source)) <= set(explained)
