"""The reference in docs/policy.md, made from the model so that it cannot fall behind it."""

import json
from collections.abc import Iterator
from typing import Any

from kube_headroom.policy.schema import policy_schema

START = "<!-- made from the model by tests/policy/reference.py: start -->\n"
END = "<!-- made from the model: end -->\n"


def reference() -> str:
    """Return the table of every key: default, what is allowed, meaning."""
    schema = policy_schema()
    rows = "".join(
        f"| `{key}` | {default} | {allowed} | {meaning} |\n"
        for key, default, allowed, meaning in _rows(schema, schema["$defs"], "")
    )
    return f"| key | default | allowed | meaning |\n|---|---|---|---|\n{rows}"


def replaced(document: str) -> str:
    """Return a document with the table between its marks brought up to date."""
    before, _, rest = document.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{reference()}\n{END}{after}"


def _rows(
    schema: dict[str, Any], sections: dict[str, Any], path: str
) -> Iterator[tuple[str, str, str, str]]:
    required = schema.get("required", [])
    for name, field in schema["properties"].items():
        key, inner = f"{path}{name}", _section(field, sections)
        meaning = " ".join((field.get("description") or inner["description"]).split())
        if name == "requirements" and path:
            yield key, "those of all", "as above", meaning
        elif inner is not None and field.get("type") != "array" and not _by_resource(inner):
            yield from _rows(inner, sections, f"{key}.")
        else:
            default = "required" if name in required else f"`{json.dumps(field.get('default'))}`"
            yield key, default, "by resource" if _by_resource(inner) else _allowed(field), meaning
            if inner is not None and not _by_resource(inner):
                yield from _rows(inner, sections, f"{key}[].")


def _by_resource(section: dict[str, Any] | None) -> bool:
    return section is not None and "ephemeral-storage" in section["properties"]


def _section(field: dict[str, Any], sections: dict[str, Any]) -> dict[str, Any] | None:
    """Return the section that a field holds, one or a list of them."""
    for part in (field, field.get("items", {}), *field.get("anyOf", ())):
        name = part.get("$ref", "").rpartition("/")[2]
        if name:
            found: dict[str, Any] = sections[name]
            return found
    return None


def _allowed(field: dict[str, Any]) -> str:
    for part in (field, field.get("items", {}), *field.get("anyOf", ())):
        if "enum" in part:
            words = ", ".join(f"`{word}`" for word in part["enum"])
            return f"list of {words}" if field.get("type") == "array" else words
        if "examples" in part:
            return "like " + ", ".join(f"`{example}`" for example in part["examples"])
        if "minimum" in part:
            return f"{part['minimum']} to {part['maximum']}"
    kind = str(field.get("type", ""))
    inner = field.get("items", {}).get("type")
    return {"array": f"list of {inner or 'sections'}s".replace("sectionss", "sections")}.get(
        kind, kind
    )
