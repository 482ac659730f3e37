"""Reading manifests: plain values as kubectl sees them, faults in the place of what is broken."""

import json
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kube_headroom.resources.manifest import (
    Document,
    Fault,
    UnreadableObject,
    read_documents,
    to_object,
)
from kube_headroom.resources.yamltext import YamlError, parse_yaml

# What `kubectl label --local -f` and friends make of a plain scalar.
SCALARS = [
    ("1:30", "1:30"),
    ("2026-01-01", "2026-01-01"),
    ("1e3", 1000.0),
    ("012", 10),
    ("0o14", 12),
    ("08", 8.0),
    ("0x1F", 31),
    ("0b11", 3),
    ("1_000", 1000),
    ("-3", -3),
    ("+3", 3),
    ("1.5", 1.5),
    (".5", 0.5),
    ("1.", 1.0),
    ("no", False),
    ("y", True),
    ("On", True),
    ("oFF", "oFF"),
    ("=", "="),
    ("~", None),
    ("", None),
    ("null", None),
    ("<<", "<<"),
    ("10e999999", "10e999999"),
    ("18446744073709551615", 2**64 - 1),
    ("18446744073709551616", 2.0**64),
    ("1" * 400, "1" * 400),
    ("0" + "7" * 30, 7.777777777777778e29),
    ("0x" + "f" * 17, "0x" + "f" * 17),
    ("0.1Gi", "0.1Gi"),
    ("_1", "_1"),
    ("+", "+"),
    ("'012'", "012"),
    ("!!str 012", "012"),
    ("!!int '3'", 3),
    ("!!float 3", 3.0),
    ("!custom x", "x"),
    ("!!binary aGk=", "hi"),
]


@pytest.mark.parametrize(("text", "value"), SCALARS, ids=[text for text, _ in SCALARS])
def test_scalars(text, value):
    found = parse_yaml(f"a: {text}").value["a"]
    assert (found, type(found)) == (value, type(value))


BROKEN = {
    "{[1]: 2}": "a key must be text, not a mapping or list",
    "? {a: b}\n: c": "a key must be text, not a mapping or list",
    "null: 3": "a key must be text, not null",
    "a: .nan": ".nan is no number that JSON can carry",
    "a: !!int x": '"x" is no !!int',
    "a: *b": "unknown anchor *b",
    "a: &a [*a]": "*a contains itself",
    "[" * 100_000: "nested deeper than 200 levels",
    "- " * 100_000: "nested deeper than 200 levels",
    "a: {<<: [1]}": "<< merges mappings only",
    "a: \x01": "unacceptable character: control characters are not allowed",
}


@pytest.mark.parametrize("text", BROKEN, ids=lambda text: text[:20])
def test_broken_yaml(text):
    with pytest.raises(YamlError) as caught:
        parse_yaml(text)
    assert (caught.value.line, caught.value.problem) == (1, BROKEN[text])


def test_keys_become_text_as_in_json():
    assert parse_yaml("{1: a, true: b, 1.5: c, y: d}").value == {"1": "a", "true": "d", "1.5": "c"}


def test_merge_keys_give_way_to_what_follows():
    text = "base: &b {x: 1, z: 2}\nmore: &m {x: 5, w: 6}\nall: {<<: [*b, *m], z: 3}"
    assert parse_yaml(text).value["all"] == {"x": 1, "z": 3, "w": 6}
    assert parse_yaml("a: {z: 3, <<: {z: 4}}").value == {"a": {"z": 4}}


def test_aliases_share_what_they_name():
    assert parse_yaml("a: &x {b: [1]}\nc: *x").value == {"a": {"b": [1]}, "c": {"b": [1]}}


def test_lines_are_kept_for_every_field():
    parsed = parse_yaml("a:\n  b:\n  - c: 1\n  - d\n", first_line=10, mark_lines=True)
    assert parsed.lines == {
        (): 10,
        ("a",): 10,
        ("a", "b"): 11,
        ("a", "b", 0): 12,
        ("a", "b", 0, "c"): 12,
        ("a", "b", 1): 13,
    }


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(string.printable),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(string.ascii_letters), inner),
    max_leaves=20,
)


@given(VALUES)
@settings(max_examples=300, deadline=None)
def test_json_in_yaml_is_json(value):
    """Every JSON text is YAML with the same meaning."""
    assert parse_yaml(f"a: {json.dumps(value)}").value["a"] == value


def read(text):
    return list(read_documents(text, "f"))


def shown(text):
    return [str(one) if isinstance(one, Fault) else one.data for one in read(text)]


@given(st.text(alphabet="{}[]:,-&*!|>'\"\n #a1?%@`\t\x00~<", max_size=60))
@settings(max_examples=500, deadline=None)
def test_whatever_the_text_there_are_documents_or_faults(text):
    """Nothing is raised."""
    assert all(isinstance(one, Document | Fault) for one in read(text))


def test_documents_are_split_before_they_are_parsed():
    text = "# first\na: 1\n---\nb: [\n--- # third\nc: 3\n---\n\n---\n# nothing\n---\nd: 4"
    assert shown(text) == [
        {"a": 1},
        "f:4: while parsing a flow node, did not find expected node content",
        {"c": 3},
        {"d": 4},
    ]
    assert [one.line for one in read(text)] == [2, 4, 6, 12]


def test_windows_line_ends_and_a_byte_order_mark():
    assert shown("\ufeffa: 1\r\n---\r\nb: 2\r\n") == [{"a": 1}, {"b": 2}]


def test_json_values_may_follow_each_other():
    assert shown('{"a": 1}\n{"b": 2}{"c": 3}\n---\n{"d": 4}\n') == [
        {"a": 1},
        {"b": 2},
        {"c": 3},
        {"d": 4},
    ]


def test_broken_json_does_not_hide_the_next():
    assert shown('{"a": 1}\n{"b": }\n{"c": 3}') == [
        {"a": 1},
        "f:2: JSON: Expecting value",
        {"c": 3},
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"a": NaN}', "f:1: JSON: NaN is no JSON"),
        ('{"a":' * 100_000, "f:1: JSON: nested too deep"),
        ('{"a": ' + "1" * 5000 + "}", "f:1: JSON: Exceeds the limit (4300 digits)"),
    ],
    ids=["NaN", "deep", "digits"],
)
def test_json_that_no_api_server_takes(text, fault):
    (found,) = shown(text)
    assert found.startswith(fault)


def test_a_flow_mapping_is_yaml_though_it_starts_like_json():
    assert shown("{a: b}") == [{"a": "b"}]


def test_what_is_no_object_is_a_fault():
    assert shown("- a\n---\ntext\n---\n3") == [
        "f:1: a list is no object",
        "f:3: a text is no object",
        "f:5: a number is no object",
    ]


def test_what_kubectl_ignores_is_said():
    """Only `---` on a line of its own separates."""
    ignored = "f:1: kubectl ignores what follows this document without ---"
    assert shown("a: 1\n...\nb: 2\n") == [{"a": 1}, ignored]


def test_only_a_comment_may_follow_a_separator():
    assert shown("a: 1\n---  b\nc: 3\n---x") == [
        {"a": 1},
        "f:2: invalid document separator: ---  b",
        {"c": 3},
        "f:4: invalid document separator: ---x",
    ]


def test_duplicate_keys_are_findings():
    documents = read('a: 1\nb: {a: 1}\na: 2\n---\n{"x": 1, "x": 2}')
    assert [[str(one) for one in document.findings] for document in documents] == [
        ["f:3: key a stands twice (first in line 1); the last one counts"],
        ["f:5: key x stands twice in one mapping; the last one counts"],
    ]


def test_lists_are_taken_apart():
    text = json.dumps(
        {
            "kind": "List",
            "items": [
                {"kind": "Pod"},
                7,
                {"kind": "PodList", "apiVersion": "v1", "items": [{"metadata": {}}]},
            ],
        }
    )
    documents = read(text)
    assert [one.path for one in documents if isinstance(one, Document)] == [
        "items[0]",
        "items[2].items[0]",
    ]
    assert str(documents[1]) == "f:1: items[1]: a number is no object"
    assert documents[2].data == {"kind": "Pod", "apiVersion": "v1", "metadata": {}}


def test_lists_in_lists_end_somewhere():
    data = {"kind": "Pod"}
    for _ in range(50):
        data = {"kind": "List", "items": [data]}
    assert shown(json.dumps(data)) == ["f:1: Lists nested too deep"]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"kind": "Pod"}, "apiVersion is missing: this is no object"),
        ({"apiVersion": "v1", "kind": 3}, "kind is missing: this is no object"),
        ({"spec": {"replicas": "x"}}, "spec.replicas: expected int | null, got string"),
        ({"spec": []}, "spec: expected mapping | null, got list"),
        (
            {"spec": {"template": {"spec": {"containers": [{"name": 1}]}}}},
            "spec.template.spec.containers[0].name: expected string, got int",
        ),
        (
            {"metadata": {"labels": {"a": 1}}},
            "metadata.labels[...]: expected string | null, got int",
        ),
    ],
)
def test_a_field_of_the_wrong_type_is_named(data, problem):
    whole = data if "kind" in data else {"apiVersion": "v1", "kind": "Pod", **data}
    with pytest.raises(UnreadableObject) as caught:
        to_object(Document("f", 3, whole, path="items[2]"))
    assert str(caught.value) == f"f:3: items[2]: {problem}"
