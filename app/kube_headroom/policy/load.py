"""Policy text to Policy, or all its faults at once, each with line, field and what is allowed.

A policy is edited by hand in a ConfigMap: whoever mistypes three keys should hear of three. Keys
set to null count as not given, as Kubernetes has it.
"""

import difflib
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from kube_headroom.errors import PolicyError
from kube_headroom.policy.model import Policy
from kube_headroom.resources.yamltext import Parsed, Path, YamlError, parse_yaml

DEFAULT_POLICY: Final = Policy()
DATA_KEY: Final = "policy.yaml"
"""The ConfigMap's key that holds the policy."""

_WORDS: Final = {
    "missing": "is missing",
    "value_error": "{error}",
    "greater_than_equal": "{given} is too small; allowed: at least {ge}",
    "less_than_equal": "{given} is too large; allowed: at most {le}",
    "string_too_short": "is empty; allowed: some text",
    "string_too_long": "is too long; allowed: at most {max_length} characters",
    "too_short": "is empty; allowed: at least one",
    "model_type": "must be a mapping, not {given}",
    "tuple_type": "must be a list, not {given}",
    "string_type": "must be text, not {given}",
    "int_type": "must be a whole number, not {given}",
    "bool_type": "must be true or false, not {given}",
}


def load_policy(text: str, *, source: str = DATA_KEY, first_line: int = 1) -> Policy:
    """Return the policy of a YAML text. Raises PolicyError with every fault, in line order."""
    parsed = _parse(text, source, first_line)
    faults = [
        (twice.line, f"{_dotted(twice.path)}: stands twice, first in line {twice.first_line}")
        for twice in parsed.duplicates
    ]
    try:
        policy = Policy.model_validate(_without_nulls(parsed.value))
    except ValidationError as error:
        faults += [_fault(detail, parsed) for detail in error.errors(include_url=False)]
    if faults:
        ordered = sorted(dict.fromkeys(faults), key=lambda fault: fault[0])
        raise PolicyError(tuple(f"{source}:{line}: {message}" for line, message in ordered))
    return policy


def policy_hash(policy: Policy) -> str:
    """Return 12 hex digits that name what a policy means, whatever its layout and comments."""
    canonical = json.dumps(policy_data(policy), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def policy_data(policy: Policy) -> dict[str, Any]:
    """Return a policy as plain data, defaults filled in; it loads back to the same policy."""
    return policy.model_dump(mode="json", by_alias=True)


def _parse(text: str, source: str, first_line: int) -> Parsed:
    try:
        parsed = parse_yaml(text, first_line=first_line, mark_lines=True)
    except YamlError as error:
        raise PolicyError((f"{source}:{error.line}: {error.problem}",)) from error
    if parsed is None:
        return Parsed({}, first_line, [], {}, more=False)
    if parsed.more:
        raise PolicyError((f"{source}:{parsed.line}: one document only; another one follows",))
    if parsed.value is not None and not isinstance(parsed.value, dict):
        raise PolicyError((f"{source}:{parsed.line}: a policy is a mapping of keys to values",))
    return parsed


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_without_nulls(one) for one in value]
    return {} if value is None else value


def _fault(detail: ErrorDetails, parsed: Parsed) -> tuple[int, str]:
    """Return line and wording of one pydantic error."""
    loc: Path = detail["loc"]
    if detail["type"] == "whole_section":
        loc = loc[:-1]
    return _line(loc, parsed), f"{_dotted(loc)}: {_wording(detail, loc)}"


def _dotted(path: Path) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


def _line(path: Path, parsed: Parsed) -> int:
    """Return the line of a field, or of the nearest section around it."""
    for length in range(len(path), -1, -1):
        if path[:length] in parsed.lines:
            return parsed.lines[path[:length]]
    return parsed.line


def _wording(detail: ErrorDetails, loc: Path) -> str:
    kind, given = detail["type"], _given(detail["input"])
    context = detail.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(loc)
    if kind == "literal_error":
        return _not_allowed(given, str(context["expected"]))
    if kind not in _WORDS:
        return detail["msg"]
    return _WORDS[kind].format(given=given, **context)


def _not_allowed(given: str, expected: str) -> str:
    allowed = expected.replace(" or ", ", ").replace("'", "")
    near = difflib.get_close_matches(given.strip('"').lower(), allowed.split(", "), n=1)
    hint = f'; did you mean "{near[0]}"?' if near else ""
    return f"{given} is unknown{hint}; allowed: {allowed}"


def _unknown_key(loc: Path) -> str:
    known = tuple(_keys(_model_at(loc[:-1])))
    near = difflib.get_close_matches(str(loc[-1]), known, n=1)
    hint = f'; did you mean "{near[0]}"?' if near else ""
    return f"unknown key{hint}; allowed: {', '.join(known)}"


def _keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield field.alias or name


def _model_at(path: Path) -> type[BaseModel]:
    """Return the section that a path of keys and indexes leads to."""
    model: type[BaseModel] = Policy
    for step in path:
        if isinstance(step, str):
            field = next(
                field for name, field in model.model_fields.items() if step in (field.alias, name)
            )
            model = _section_in(field.annotation) or model
    return model


def _section_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any type expression
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_section_in(one) for one in get_args(annotation))
    return next((section for section in inner if section is not None), None)


def _given(value: object) -> str:
    if isinstance(value, (Mapping, list, tuple)):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    text = text if len(text) <= 60 else text[:59] + "…"
    return f'"{text}"' if isinstance(value, str) else text
