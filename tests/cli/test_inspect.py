"""inspect: the stable JSON, the other formats, and what broken input does."""

import json
from pathlib import Path

import pytest
import yaml

from tests.cli.running import run

CASES = yaml.safe_load((Path(__file__).parent / "inspections.yaml").read_text())
POD = b"{apiVersion: v1, kind: Pod, metadata: {name: %s}, spec: {containers: [{name: a}]}}\n"


def inspected(*arguments, stdin=b""):
    result = run("inspect", "-o", "json", *arguments, stdin=stdin)
    return json.loads(result.stdout), result


def names(inspection):
    return [item["name"] for item in inspection["items"]]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_inspections(case):
    """What the engine sees, as the stable contract shows it."""
    inspection, result = inspected("-f", "-", stdin=case["input"].encode())
    assert (result.returncode, result.stderr.decode()) == (0, "")
    assert inspection == {
        "apiVersion": "kube-headroom.io/v1",
        "kind": "Inspection",
        "items": case["items"],
    }


def test_yaml_says_the_same_as_json():
    text = CASES[0]["input"].encode()
    inspection, _ = inspected("-f", "-", stdin=text)
    assert yaml.safe_load(run("inspect", "-f", "-", "-o", "yaml", stdin=text).stdout) == inspection


def test_the_table_is_for_people():
    result = run("inspect", "-f", "-", stdin=POD % b"web")
    assert result.stdout.decode().splitlines() == [
        "NAMESPACE  NAME     PODS  CPU  CPU LIMIT  MEMORY  MEMORY LIMIT  QOS         FOUND",
        "default    pod/web  1     0    -          0       -             BestEffort  4",
        "",
        "Pod default/web:",
        '  [HR101] container "a": cpu request is missing',
        '  [HR102] container "a": memory request is missing',
        '  [HR103] container "a": cpu limit is missing',
        '  [HR104] container "a": memory limit is missing',
    ]


def test_a_broken_document_is_named_and_the_others_are_shown():
    text = POD % b"one" + b"---\na: [\n---\n" + POD % b"two" + b"---\n- a list\n"
    inspection, result = inspected("-f", "-", stdin=text)
    assert names(inspection) == ["one", "two"]
    assert result.returncode == 2
    assert [line.split(": ")[1] for line in result.stderr.decode().splitlines()] == [
        "<stdin>:3",
        "<stdin>:7",
    ]


def test_a_field_of_the_wrong_type_is_named():
    text = b"apiVersion: apps/v1\nkind: Deployment\nspec:\n  replicas: many\n"
    inspection, result = inspected("-f", "-", stdin=text)
    assert (inspection["items"], result.returncode) == ([], 2)
    assert result.stderr == b"error: <stdin>:1: spec.replicas: expected int | null, got string\n"


def test_a_duplicate_key_is_a_warning():
    """kubectl takes the last one in silence."""
    text = b"apiVersion: v1\nkind: Pod\nmetadata: {name: a, name: b}\nspec: {containers: []}\n"
    inspection, result = inspected("-f", "-", stdin=text)
    assert (names(inspection), result.returncode) == (["b"], 0)
    assert result.stderr == (
        b"warning: <stdin>:3: key name stands twice (first in line 3); the last one counts\n"
    )


def test_files_and_directories(tmp_path):
    """Directories are read recursively, only .yaml, .yml and .json, in the order of names."""
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name in ("b.yaml", "a.yml", "deep/er/c.json", "no.txt"):
        (tmp_path / name).write_bytes(POD % name.replace("/", "-").encode())
    (tmp_path / "deep/er/c.json").write_bytes(
        b'{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "c"}}'
    )
    inspection, result = inspected("-f", tmp_path, "-f", tmp_path / "no.txt")
    assert (names(inspection), result.returncode) == (["a.yml", "b.yaml", "c", "no.txt"], 0)


def test_a_limit_range_applies_from_another_file(tmp_path):
    (tmp_path / "pod.yaml").write_bytes(POD % b"web")
    (tmp_path / "range.yaml").write_text(
        "apiVersion: v1\nkind: LimitRange\nmetadata: {name: team}\n"
        "spec: {limits: [{type: Container, default: {cpu: 1, memory: 64Mi}}]}\n"
    )
    inspection, _ = inspected("-f", tmp_path / "pod.yaml", "-f", tmp_path / "range.yaml")
    assert inspection["items"][0]["violations"] == []


def test_what_cannot_be_read_does_not_hide_the_rest(tmp_path):
    (tmp_path / "pod.yaml").write_bytes(POD % b"web")
    (tmp_path / "latin.yaml").write_bytes(b"a: b\nc: \xff\n")
    inspection, result = inspected("-f", tmp_path / "missing.yaml", "-f", tmp_path)
    assert (names(inspection), result.returncode) == (["web"], 2)
    assert result.stderr.decode().splitlines() == [
        f"error: {tmp_path}/missing.yaml: No such file or directory",
        f"error: {tmp_path}/latin.yaml:2: not UTF-8",
    ]


def test_a_policy_of_ones_own(tmp_path):
    """Requirements, overrides by namespace and exempt images are the policy's."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("requirements: {requests: [], limits: [memory]}\n")
    inspection, _ = inspected("-f", "-", "--policy", policy, stdin=POD % b"web")
    assert [one["code"] for one in inspection["items"][0]["violations"]] == ["HR104"]


def test_a_broken_policy_is_exit_code_2(tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text("mode: x\nhedroom: {}\n")
    result = run("inspect", "-f", "-", "--policy", policy, stdin=POD % b"web")
    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr.decode().count("error: ") == 2


def test_the_namespace_of_objects_that_name_none():
    inspection, _ = inspected("-f", "-", "-n", "shop", stdin=POD % b"web")
    assert inspection["items"][0]["namespace"] == "shop"


def test_a_name_cannot_steer_the_terminal():
    text = json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "\x1b[2Jgone"},
            "spec": {"containers": [{"name": "\x1b[31m"}]},
        }
    )
    result = run("inspect", "-f", "-", stdin=text.encode())
    assert b"\x1b" not in result.stdout
    assert rb"\x1b[2Jgone" in result.stdout


def test_hostile_input_is_refused_quickly():
    """A bomb of aliases, endless nesting and numbers of a million digits end in a plain error."""
    bomb = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (ord("b") + i, ord("b") + i, b",".join([b"*%c" % (ord("a") + i)] * 9))
        for i in range(9)
    )
    text = b"---\n".join(
        [bomb, b"[" * 100_000 + b"\n", b'{"a":' * 100_000 + b"\n", b"1" * 1_000_000 + b"\n", b""]
    )
    _, result = inspected("-f", "-", stdin=text)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 4
    assert b"Traceback" not in result.stderr


def test_no_workloads_is_an_empty_list():
    inspection, result = inspected("-f", "-", stdin=b"")
    assert (inspection["items"], result.returncode) == ([], 0)
