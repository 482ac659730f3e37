"""Files, directories and stdin to documents: what `-f` means, as with kubectl.

A path that cannot be read is a Fault among the documents, so that the rest is still looked at.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from kube_headroom.resources.manifest import Document, Fault, read_documents

STDIN: Final = "-"
SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
"""Which files of a directory are read."""


def read_inputs(names: Iterable[str]) -> Iterator[Document | Fault]:
    """Yield the documents of files, of directories (recursively) and of stdin (`-`)."""
    for name in names:
        for path in _files(name):
            text = read_text(path)
            if isinstance(text, Fault):
                yield text
            else:
                yield from read_documents(text, _shown(path))


def read_text(name: str) -> str | Fault:
    """Return the text of one file or of stdin."""
    try:
        data = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
    except OSError as error:
        return Fault(_shown(name), 0, error.strerror or str(error))
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Fault(_shown(name), line, "not UTF-8")


def shown_fault(fault: Fault) -> str:
    """Return a fault for people; one of a whole file has no line."""
    return str(fault) if fault.line else f"{fault.source}: {fault.message}"


def _files(name: str) -> Iterator[str]:
    path = Path(name)
    if name == STDIN or not path.is_dir():
        yield name
        return
    found = (path for path in path.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    yield from map(str, sorted(found))


def _shown(name: str) -> str:
    return "<stdin>" if name == STDIN else name
