"""Policies in files: the bare YAML, or the ConfigMap that holds it, among other manifests or not.

Faults are named by the line of the file, also inside a ConfigMap, wherever its text stands as it is.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from kube_headroom.cli.inputs import read_text, shown_fault
from kube_headroom.errors import PolicyError
from kube_headroom.policy.load import DATA_KEY, load_policy
from kube_headroom.policy.model import Policy
from kube_headroom.resources.manifest import Document, Fault, read_documents

# A literal block (`policy.yaml: |`) keeps its lines; other styles do not.
_LITERAL_BLOCK: Final = re.compile(
    rf"""^[ ]+(["']?){re.escape(DATA_KEY)}\1[ ]*:[ ]*\|[-+0-9]*[ ]*(?:#.*)?$""", re.MULTILINE
)


class PolicyText(msgspec.Struct, frozen=True):
    """A policy's text and where it stands."""

    text: str
    source: str
    first_line: int = 1


def read_policy(name: str) -> Policy:
    """Return the one policy in a file or on stdin (`-`). Raises PolicyError."""
    texts = policy_texts(name)
    if len(texts) > 1:
        raise PolicyError((f"{name}: {len(texts)} policies; one is wanted",))
    return load(texts[0])


def load(text: PolicyText) -> Policy:
    """Load a policy's text. Raises PolicyError."""
    return load_policy(text.text, source=text.source, first_line=text.first_line)


def policy_texts(name: str) -> tuple[PolicyText, ...]:
    """Return the policies in a file or on stdin. Raises PolicyError if there is none."""
    text = read_text(name)
    if isinstance(text, Fault):
        raise PolicyError((shown_fault(text),))
    source = "<stdin>" if name == "-" else name
    documents = list(read_documents(text, source))
    objects = [one for one in documents if isinstance(one, Document) and "kind" in one.data]
    if not objects:
        return (PolicyText(text, source),)
    found = tuple(_in_config_maps(objects, text))
    if not found:
        raise PolicyError((f"{source}: no ConfigMap with the key {DATA_KEY}",))
    return found


def _in_config_maps(documents: list[Document], text: str) -> Iterator[PolicyText]:
    for document in documents:
        data = document.data.get("data")
        if document.data["kind"] != "ConfigMap" or not isinstance(data, dict):
            continue
        policy = data.get(DATA_KEY)
        if isinstance(policy, str):
            yield _placed(policy, document, text)


def _placed(policy: str, document: Document, text: str) -> PolicyText:
    start = 0
    for _ in range(document.line - 1):
        start = text.index("\n", start) + 1
    block = _LITERAL_BLOCK.search(text, start)
    if block is None:
        return PolicyText(policy, f"{document.source} ({DATA_KEY})")
    return PolicyText(policy, document.source, text.count("\n", 0, block.end()) + 2)
