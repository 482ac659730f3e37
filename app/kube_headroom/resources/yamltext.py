"""One YAML document to plain values, as kubectl reads it: YAML 1.1 the way Go's parser sees it.

PyYAML's own loader reads `1:30` as 90, `2026-01-01` as a date and stumbles over `=`; kubectl does
not. It also recurses, and drops duplicate keys without a word. So only libyaml's event stream is
used, and the values are built here, with a stack instead of recursion: depth and aliases are
bounded, duplicates reported, and the line of every field can be kept for messages.
"""

import base64
import math
import re
from typing import Any, Final

import msgspec
import yaml

MAX_DEPTH: Final = 200
"""A pod is about 12 levels deep; a CustomResourceDefinition's schema reaches 60."""

MAX_ALIASED: Final = 100_000
"""Values reached a second time through aliases; every one costs work in whoever reads on."""

TAG_PREFIX: Final = "tag:yaml.org,2002:"
NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
BOOLEANS: Final = {
    word: value
    for value, words in ((True, ("y", "yes", "on", "true")), (False, ("n", "no", "off", "false")))
    for lower in words
    for word in (lower, lower.capitalize(), lower.upper())
}
_INTEGER: Final = re.compile(
    r"[-+]?(?:0|[1-9][0-9_]*|0[0-7_]+|0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+)\Z"
)
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_MAX_DIGITS: Final = 100  # 64 bits in binary, a sign and a prefix take 67
_NO_NUMBER: Final = frozenset({".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"})
_MERGE: Final = object()

Path = tuple[str | int, ...]


class YamlError(ValueError):
    """A document that is no YAML, or none that can be an object; line counts from 1."""

    def __init__(self, line: int, problem: str) -> None:
        self.line = line
        self.problem = problem
        super().__init__(f"line {line}: {problem}")


class Duplicate(msgspec.Struct, frozen=True):
    """A key that stands twice in one mapping; the last one wins."""

    line: int
    key: str
    first_line: int
    path: Path
    """Where the key stands; without line marks just the key."""


class Parsed(msgspec.Struct):
    """A document: its value, the line it starts at, duplicates, and the line of every field."""

    value: Any
    line: int
    duplicates: list[Duplicate]
    lines: dict[Path, int]
    more: bool
    """Another document follows without a `---` line of its own; kubectl does not see it."""


class _Open(msgspec.Struct):
    """A mapping or list under construction."""

    value: dict[str, Any] | list[Any]
    line: int
    anchor: str | None
    path: Path
    size: int = 1
    key: Any = None
    key_line: int = 0
    key_lines: dict[str, int] | None = None


class _Anchored(msgspec.Struct):
    """What an anchor names, and how many values that is."""

    value: Any
    size: int


def parse_yaml(text: str, *, first_line: int = 1, mark_lines: bool = False) -> Parsed | None:
    """Parse the first document of a text; None when there is none. Raises YamlError."""
    try:
        return _Builder(text, first_line=first_line, mark_lines=mark_lines).build()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # What breaks off is found missing after the end: name the last line there is.
        last = text.rstrip().count("\n")
        line = first_line + (min(mark.line, last) if mark else 0)
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise YamlError(line, problem) from error
    except yaml.reader.ReaderError as error:
        line = first_line + text.count("\n", 0, error.position)
        raise YamlError(line, f"unacceptable character: {error.reason}") from error


def plain_value(text: str) -> str | int | float | bool | None:
    """Return what a plain (unquoted) scalar means to kubectl."""
    first = text[:1]
    if first in "0123456789+-.":
        return _number(text) if text else None
    if text in NULLS:
        return None
    return BOOLEANS.get(text, text)


def _number(text: str) -> str | int | float:
    if len(text) <= _MAX_DIGITS and _INTEGER.match(text):
        value = _integer(text.replace("_", ""))
        if -(2**63) <= value < 2**64:
            return value
        # Beyond uint64 Go's parser goes on to floating point.
    if _FLOAT.match(text):
        approximate = float(text.replace("_", ""))
        return text if math.isinf(approximate) else approximate
    if text.lstrip("+-") in _NO_NUMBER:
        raise ValueError(f"{text} is no number that JSON can carry")
    return text


def _integer(text: str) -> int:
    digits = text.lstrip("+-")
    sign = -1 if text.startswith("-") else 1
    if len(digits) > 1 and digits[0] == "0" and digits[1].isdigit():
        return sign * int(digits, 8)
    return sign * int(digits, 0)


def _tagged_value(tag: str, text: str) -> str | int | float | bool | None:
    kind = tag.removeprefix(TAG_PREFIX)
    if kind == "binary":
        return base64.b64decode(text, validate=True).decode()
    if kind not in {"int", "float", "bool", "null"}:
        return text  # !!str and private tags: Go's parser keeps the text as well
    value = plain_value(text)
    if kind == "float" and type(value) is int:
        return float(value)
    names = {"int": int, "float": float, "bool": bool, "null": type(None)}
    if type(value) is not names[kind]:
        raise ValueError(f'"{text}" is no !!{kind}')
    return value


def _key_text(key: object) -> str:
    """Return a mapping key as JSON has it: kubectl turns numbers and booleans into text."""
    if isinstance(key, str):
        return key
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, int):
        return str(key)
    if isinstance(key, float):
        return f"{key:g}"
    raise ValueError("a key must be text, not " + ("null" if key is None else "a mapping or list"))


class _Builder:
    """Builds one document from libyaml's events; holds the stack and the anchors."""

    def __init__(self, text: str, *, first_line: int, mark_lines: bool) -> None:
        self._events = yaml.CSafeLoader(text)  # of which only the event stream is used
        self._first_line = first_line
        self._mark_lines = mark_lines
        self._stack: list[_Open] = []
        self._anchors: dict[str, _Anchored | None] = {}
        self._aliased = 0
        self._root: Any = None
        self.duplicates: list[Duplicate] = []
        self.lines: dict[Path, int] = {}

    def build(self) -> Parsed | None:
        self._next()  # the stream's start
        if isinstance(self._next(), yaml.StreamEndEvent):
            return None
        line = 0
        while not isinstance(event := self._next(), yaml.DocumentEndEvent):
            line = line or self._line(event)
            self._take(event)
        return Parsed(self._root, line, self.duplicates, self.lines, self._more())

    def _more(self) -> bool:
        try:
            return not isinstance(self._next(), yaml.StreamEndEvent)
        except yaml.YAMLError:
            return True

    def _next(self) -> yaml.Event:
        event = self._events.get_event()
        assert event is not None, "only a stream's end is followed by nothing"
        return event

    def _line(self, event: yaml.Event) -> int:
        assert event.start_mark is not None, "libyaml marks every event"
        return self._first_line + event.start_mark.line

    def _take(self, event: yaml.Event) -> None:
        line = self._line(event)
        try:
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event, line)
            elif isinstance(event, yaml.AliasEvent):
                self._alias(str(event.anchor), line)
            elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                self._open(event, line)
            else:
                self._close()
        except YamlError:
            raise
        except ValueError as error:
            raise YamlError(line, str(error)) from error

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        text = event.value
        value: Any
        if event.tag is not None and event.tag != "!":
            value = _tagged_value(event.tag, text)
        elif event.implicit[0]:
            value = _MERGE if text == "<<" and self._wants_key() else plain_value(text)
        else:
            value = text
        if event.anchor:
            self._anchors[event.anchor] = _Anchored(value, 1)
        self._add(value, line, 1)

    def _wants_key(self) -> bool:
        return bool(self._stack) and self._stack[-1].key_lines is not None and not self._has_key()

    def _has_key(self) -> bool:
        return self._stack[-1].key_line > 0

    def _alias(self, name: str, line: int) -> None:
        if name not in self._anchors:
            raise YamlError(line, f"unknown anchor *{name}")
        anchored = self._anchors[name]
        if anchored is None:
            raise YamlError(line, f"*{name} contains itself")
        self._aliased += anchored.size
        if self._aliased > MAX_ALIASED:
            raise YamlError(line, f"aliases stand for more than {MAX_ALIASED} values")
        self._add(anchored.value, line, anchored.size)

    def _open(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent, line: int) -> None:
        if len(self._stack) >= MAX_DEPTH:
            raise YamlError(line, f"nested deeper than {MAX_DEPTH} levels")
        if self._wants_key():
            raise ValueError("a key must be text, not a mapping or list")
        if event.anchor:
            self._anchors[event.anchor] = None  # open: an alias to it now would be a cycle
        path = self._path() if self._mark_lines else ()
        if self._mark_lines:
            self.lines.setdefault(path, line)
        if isinstance(event, yaml.MappingStartEvent):
            self._stack.append(_Open({}, line, event.anchor, path, key_lines={}))
        else:
            self._stack.append(_Open([], line, event.anchor, path))

    def _path(self) -> Path:
        """Return the path of the value that comes next."""
        if not self._stack:
            return ()
        top = self._stack[-1]
        step = len(top.value) if isinstance(top.value, list) else top.key
        return (*top.path, "<<" if step is _MERGE else step)

    def _close(self) -> None:
        done = self._stack.pop()
        if done.anchor:
            self._anchors[done.anchor] = _Anchored(done.value, done.size)
        self._add(done.value, done.line, done.size)

    def _add(self, value: Any, line: int, size: int) -> None:  # noqa: ANN401 - any YAML value
        if not self._stack:
            self._root = value
            return
        top = self._stack[-1]
        top.size += size
        if isinstance(top.value, list):
            if self._mark_lines:
                self.lines.setdefault((*top.path, len(top.value)), line)
            top.value.append(value)
        elif not self._has_key():
            self._add_key(top, value, line)
        else:
            self._add_value(top, top.value, value)

    def _add_key(self, top: _Open, value: object, line: int) -> None:
        top.key_line = line
        if value is _MERGE:
            top.key = _MERGE
            return
        top.key = key = _key_text(value)
        assert top.key_lines is not None
        if key in top.key_lines:
            self.duplicates.append(Duplicate(line, key, top.key_lines[key], (*top.path, key)))
        top.key_lines[key] = line
        if self._mark_lines:
            self.lines[(*top.path, key)] = line

    def _add_value(self, top: _Open, mapping: dict[str, Any], value: object) -> None:
        if top.key is _MERGE:
            sources = value if isinstance(value, list) else [value]
            if not all(isinstance(source, dict) for source in sources):
                raise ValueError("<< merges mappings only")
            for source in reversed(sources):  # the first one wins
                mapping.update(source)  # and over the keys that stand before it, as in Go
        else:
            mapping[top.key] = value
        top.key, top.key_line = None, 0
