"""The table of values in the chart's README, made from the comments in values.yaml.

`python -m tests.chart.values_table` writes it; a test compares. A key's comment stands on the lines
right above it; a group is listed by its keys, and by itself when it has a comment too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from tests.chart.render import CHART

README = CHART / "README.md"
BEGIN = "<!-- values: python -m tests.chart.values_table -->"
END = "<!-- end of values -->"


@dataclass(frozen=True, slots=True)
class Row:
    """One value: its path, its default as YAML would take it in one line, what it does."""

    path: str
    default: str
    text: str


def rows(text: str) -> list[Row]:
    """Return the rows of a values.yaml."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    return list(_rows(root, "", text.splitlines()))


def table() -> str:
    """Return the Markdown table of the chart's values."""
    lines = ["| value | default | what it does |", "|---|---|---|"]
    for row in rows((CHART / "values.yaml").read_text()):
        text = row.text.replace("|", "\\|")
        lines.append(f"| `{row.path}` | {row.default} | {text} |")
    return "\n".join(lines)


def with_table(readme: str) -> str:
    """Return the README with its table made anew."""
    before, rest = readme.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def _rows(node: yaml.MappingNode, prefix: str, lines: Sequence[str]) -> Iterator[Row]:
    for key, value in node.value:
        path = f"{prefix}{key.value}"
        text, is_group = _comment_above(key, lines), _is_group(value, lines)
        if text:
            yield Row(path, "" if is_group else f"`{_one_line(value)}`", text)
        elif not is_group:
            raise AssertionError(f"values.yaml: {path} has no comment")
        if is_group:
            yield from _rows(value, f"{path}.", lines)


def _is_group(node: yaml.Node, lines: Sequence[str]) -> bool:
    """Whether the comments are on a mapping's keys; otherwise the mapping is one value."""
    return isinstance(node, yaml.MappingNode) and any(
        _comment_above(key, lines) or _is_group(value, lines) for key, value in node.value
    )


def _comment_above(key: yaml.Node, lines: Sequence[str]) -> str:
    line = key.start_mark.line
    if lines[line][: key.start_mark.column].strip():
        return ""  # not the first on its line
    found: list[str] = []
    while line > 0 and lines[line - 1].lstrip().startswith("#"):
        line -= 1
        found.insert(0, lines[line].lstrip().removeprefix("#").strip())
    return " ".join(found)


def _one_line(node: yaml.Node) -> str:
    value: Any = yaml.safe_load(yaml.serialize(node))
    return json.dumps(value)


def main() -> None:
    """Write the table into the README."""
    README.write_text(with_table(README.read_text()))


if __name__ == "__main__":
    main()
