"""Manifest text to objects, the way kubectl reads it; a broken document does not hide the others.

Documents are split at `---` lines before any parsing, since a YAML parser stops at its first
error. JSON is read as JSON (many values may follow each other), Lists are taken apart. Files are
opened by the callers: this module is pure.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NoReturn

import msgspec

from kube_headroom.errors import AppError
from kube_headroom.resources.objects import KubeObject
from kube_headroom.resources.yamltext import YamlError, parse_yaml

MAX_LIST_DEPTH: Final = 5
"""Lists in Lists; kubectl prints one level."""

_SEPARATOR: Final = re.compile(r"^---(.*)$", re.MULTILINE)
_NEXT_VALUE: Final = re.compile(r"^\{", re.MULTILINE)
_BLANK: Final = re.compile(r"\s*")


class UnreadableObject(AppError):  # noqa: N818 - named for what it is
    """A document that cannot be the object it says it is; the message names place and field."""


class Fault(msgspec.Struct, frozen=True):
    """Something wrong in a text, and where; as text `source:line: message`."""

    source: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}: {self.message}"


class Document(msgspec.Struct, frozen=True):
    """One object's data and where it stands; path is its place inside a List (`items[2]`)."""

    source: str
    line: int
    data: dict[str, Any]
    path: str = ""
    findings: tuple[Fault, ...] = ()
    """What kubectl accepts in silence and a person would want to know: duplicate keys."""


def read_documents(text: str, source: str) -> Iterator[Document | Fault]:
    """Yield every document of a text in order, and a Fault in the place of each broken one."""
    for line, chunk in _chunks(text.removeprefix("\ufeff")):
        separator = _SEPARATOR.match(chunk)
        if separator is not None:
            yield Fault(source, line, f"invalid document separator: ---{separator[1].rstrip()}")
        content = chunk if separator is None else chunk[separator.end() :]
        for found in _read_chunk(content, line, source):
            if isinstance(found, Fault):
                yield found
            else:
                yield from _flatten(found, depth=0)


def to_object(document: Document) -> KubeObject:
    """Return a document as a typed object. Raises UnreadableObject."""
    for field in ("apiVersion", "kind"):
        if not isinstance(document.data.get(field), str) or not document.data[field]:
            raise UnreadableObject(_at(document, f"{field} is missing: this is no object"))
    try:
        return msgspec.convert(document.data, KubeObject)
    except msgspec.ValidationError as error:
        raise UnreadableObject(_at(document, type_problem(error))) from error
    except RecursionError as error:
        raise UnreadableObject(_at(document, "nested too deep")) from error


def type_problem(error: msgspec.ValidationError) -> str:
    """Word a msgspec error as `field.path: expected x, got y`."""
    problem, _, where = str(error).partition(" - at `")
    path = where.rstrip("`").removeprefix("key in ").removeprefix("$").removeprefix(".")
    problem = problem.replace("`", "")
    text = problem[:1].lower() + problem[1:]
    for python, plain in (("object", "mapping"), ("array", "list"), ("str", "string")):
        text = re.sub(rf"\b{python}\b", plain, text)
    return f"{path}: {text}" if path else text


def _at(document: Document, problem: str) -> str:
    place = f"{document.path}: " if document.path else ""
    return f"{document.source}:{document.line}: {place}{problem}"


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    """Split at separator lines; each part with the number of its first line.

    kubectl takes nothing but a comment behind `---`; a part that begins with such a line keeps it.
    """
    start, line = 0, 1
    for separator in _SEPARATOR.finditer(text):
        chunk = text[start : separator.start()]
        yield line, chunk
        line += chunk.count("\n")
        more = separator[1].strip()
        start = separator.start() if more and not more.startswith("#") else separator.end()
    yield line, text[start:]


def _read_chunk(chunk: str, line: int, source: str) -> Iterator[Document | Fault]:
    if chunk.lstrip().startswith("{"):
        found = list(_read_json(chunk, line, source))
        # `{a: b}` is YAML, no JSON; what looks like JSON is reported as broken JSON.
        if not any(isinstance(one, Fault) for one in found) or re.match(r'\s*\{\s*"', chunk):
            yield from found
            return
    yield from _read_yaml(chunk, line, source)


def _read_yaml(chunk: str, line: int, source: str) -> Iterator[Document | Fault]:
    try:
        parsed = parse_yaml(chunk, first_line=line)
    except YamlError as error:
        yield Fault(source, error.line, error.problem)
        return
    if parsed is None or parsed.value is None:
        return
    findings = tuple(
        Fault(source, twice.line, f"key {twice.key} stands twice (first in line {twice.first_line})"
              "; the last one counts")
        for twice in parsed.duplicates
    )  # fmt: skip
    yield _document(parsed.value, source, parsed.line, findings)
    if parsed.more:
        yield Fault(source, parsed.line, "kubectl ignores what follows this document without ---")


def _read_json(chunk: str, line: int, source: str) -> Iterator[Document | Fault]:
    position = _skip_blanks(chunk, 0)
    while position < len(chunk):
        twice: list[str] = []
        at = line + chunk.count("\n", 0, position)
        try:
            value, position = _json_decoder(twice).raw_decode(chunk, position)
        except (ValueError, RecursionError) as error:
            yield _json_fault(error, chunk, line, source, at)
            resume = _NEXT_VALUE.search(chunk, getattr(error, "pos", position) + 1)
            if resume is None:
                return
            position = resume.start()
            continue
        findings = tuple(
            Fault(source, at, f"key {key} stands twice in one mapping; the last one counts")
            for key in twice
        )
        yield _document(value, source, at, findings)
        position = _skip_blanks(chunk, position)


def _json_decoder(twice: list[str]) -> json.JSONDecoder:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        mapping = dict(items)
        if len(mapping) < len(items):
            keys = [key for key, _ in items]
            twice.extend(sorted({key for key in keys if keys.count(key) > 1}))
        return mapping

    return json.JSONDecoder(object_pairs_hook=pairs, parse_constant=_refuse_constant)


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _json_fault(
    error: ValueError | RecursionError, chunk: str, line: int, source: str, at: int
) -> Fault:
    if isinstance(error, json.JSONDecodeError):
        return Fault(source, line + chunk.count("\n", 0, error.pos), f"JSON: {error.msg}")
    if isinstance(error, RecursionError):
        return Fault(source, at, "JSON: nested too deep")
    return Fault(source, at, f"JSON: {str(error).partition(';')[0]}")


def _skip_blanks(text: str, position: int) -> int:
    match = _BLANK.match(text, position)
    return match.end() if match else position


def _document(
    value: object, source: str, line: int, findings: tuple[Fault, ...] = ()
) -> Document | Fault:
    if isinstance(value, dict):
        return Document(source, line, value, findings=findings)
    names = {list: "list", str: "text", bool: "boolean", int: "number", float: "number"}
    return Fault(source, line, f"a {names.get(type(value), 'value')} is no object")


def _flatten(document: Document, *, depth: int) -> Iterator[Document | Fault]:
    """Yield the items of a List, else the document itself."""
    kind, items = document.data.get("kind"), document.data.get("items")
    if not isinstance(kind, str) or not kind.endswith("List") or not isinstance(items, list):
        yield document
        return
    if depth == MAX_LIST_DEPTH:
        yield Fault(document.source, document.line, "Lists nested too deep")
        return
    defaults = {} if kind == "List" else {"kind": kind[:-4], **_api_version(document)}
    findings = document.findings
    for index, item in enumerate(items):
        found = _document(item, document.source, document.line, findings)
        path = f"{document.path}.items[{index}]".removeprefix(".")
        if isinstance(found, Fault):
            yield msgspec.structs.replace(found, message=f"{path}: {found.message}")
            continue
        data = {**defaults, **found.data} if defaults else found.data
        yield from _flatten(msgspec.structs.replace(found, data=data, path=path), depth=depth + 1)
        findings = ()  # reported once, with the first item


def _api_version(document: Document) -> dict[str, Any]:
    version = document.data.get("apiVersion")
    return {"apiVersion": version} if isinstance(version, str) else {}
