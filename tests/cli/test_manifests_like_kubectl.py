"""The same manifests through the real kubectl: what it reads is what we read."""

import subprocess

import pytest

from kube_headroom.resources.manifest import Document, read_documents
from tests.cli.test_manifests import SCALARS

pytestmark = pytest.mark.controlplane

HEAD = "apiVersion: example.io/v1\nkind: Example\nmetadata: {name: a}\n"
MORE_SCALARS = [
    *("-.5", "1e-3", "0b12", "0o8", "0x", "1__0", "-0o7", "-012", "+012", "1.5e3", "1e+3", "12e03"),
    *("-0b11", "0.", "00", "0_", "-", "1,000", "190:20:30", "!!bool y", "!!null x", "!!int 0x10"),
    *("!!float 1", "yes", "N", "True", "tRue", "NULL", "nULL", ".5e1", "685_230.15", "1e400"),
    *("!!int 'a'", "@x", "0x1p3", "1e3m", ".nan", "!!binary '%'"),
]
MAPPINGS = [
    "v: {1: a, true: b, 1.5: c, y: d}",
    "v: {1e3: a, 0x10: b, 1e20: c, 100000000000.5: d}",
    "v: {a: 1, a: 2}",
    "v: {null: 1}",
    "v: {[1]: 2}",
    "v: {? {a: 1} : 2}",
    "v: {z: 3, <<: {z: 4, q: 1}}",
    "v: {<<: [{z: 1}, {z: 2, y: 3}], y: 4}",
    "v: {<<: 3}",
    "v: {'<<': {a: 1}}",
    "v: [<<]",
    "v: [&a {b: 1}, *a]",
]
STREAMS = {
    "comment behind the separator": HEAD + "--- # x\n" + HEAD,
    "blanks behind the separator": HEAD + "---   \n" + HEAD,
    "JSON, then YAML": '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "j"}}\n---\n'
    + HEAD,
    "JSON after JSON": '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "j"}}' * 2,
    "flow mapping": "{apiVersion: v1, kind: Pod, metadata: {name: f}}",
    "byte order mark": "\ufeff" + HEAD,
    "empty documents": "---\n\n---\n# nothing\n---\n" + HEAD,
}


def read_by_kubectl(kubectl, text):
    """Return the objects kubectl reads, or None when it refuses the text."""
    result = subprocess.run(
        [kubectl, "label", "--local", "-f", "-", "label=added", "-o", "json"],
        input=text.encode(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    if result.returncode:
        return None
    objects = []
    for document in read_documents(result.stdout.decode(), "kubectl"):
        del document.data["metadata"]["labels"]
        objects.append(document.data)
    return objects


def read_here(text):
    found = list(read_documents(text, "here"))
    return [one.data for one in found] if all(isinstance(one, Document) for one in found) else None


def in_numbers_of_json(value):
    """kubectl prints 1000.0 as 1000, and what is beyond int64 rounded."""
    if isinstance(value, dict):
        return {key: in_numbers_of_json(one) for key, one in value.items()}
    if isinstance(value, list):
        return [in_numbers_of_json(one) for one in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return (type(value).__name__, value)
    return ("number", float(value))


@pytest.fixture(scope="module")
def kubectl(control_plane_binaries):
    return control_plane_binaries.programs["kubectl"]


TEXTS = {
    **{text: f"{HEAD}v: {text}\n" for text, _ in SCALARS},
    **{text: f"{HEAD}v: {text}\n" for text in MORE_SCALARS},
    **{text: f"{HEAD}{text}\n" for text in MAPPINGS},
    **STREAMS,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=[name[:40] for name in TEXTS])
def test_read_like_kubectl(text, kubectl):
    """Accepted by both with the same values, or refused by both."""
    assert in_numbers_of_json(read_here(text)) == in_numbers_of_json(read_by_kubectl(kubectl, text))
