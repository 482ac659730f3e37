"""policy validate, show and schema."""

import json

import yaml

from kube_headroom.policy.load import DEFAULT_POLICY, policy_data, policy_hash
from tests.cli.running import run

CONFIG_MAP = """\
apiVersion: v1
kind: Service
metadata: {name: other}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: policy}
data:
  policy.yaml: |
    mode: enforce

    headroom:
      memory: {reserve: 10}
      cpu: {reserve: 10%, limit: warn}
"""


def test_a_valid_policy(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text("mode: enforce\n")
    result = run("policy", "validate", path)
    assert result.returncode == 0
    assert result.stdout.decode() == f"{path}: valid, hash {policy_hash(DEFAULT_POLICY)}\n"


def test_every_fault_of_every_file_is_named_with_its_line(tmp_path):
    (tmp_path / "a.yaml").write_text("mode: x\n")
    (tmp_path / "b.yaml").write_text("mode: warn\n")
    result = run(
        "policy", "validate", tmp_path / "a.yaml", tmp_path / "b.yaml", "-", stdin=b"\nm: 1"
    )
    assert result.returncode == 2
    assert [line.split(": ")[1] for line in result.stderr.decode().splitlines()] == [
        f"{tmp_path}/a.yaml:1",
        "<stdin>:2",
    ]
    assert result.stdout.decode().startswith(f"{tmp_path}/b.yaml: valid")


def test_inside_a_config_map_lines_are_the_files_own():
    result = run("policy", "validate", "-", stdin=CONFIG_MAP.encode())
    assert result.returncode == 2
    assert result.stderr.decode().splitlines() == [
        "error: <stdin>:13: headroom.memory.reserve: 10 is 10 bytes; allowed: a percentage like "
        "10%, or a quantity",
        'error: <stdin>:14: headroom.cpu.limit: unknown key; did you mean "limits"?; '
        "allowed: requests, limits, reserve, maximumLimits",
    ]


def test_a_config_map_that_kubectl_printed():
    """There the text is one quoted line."""
    text = json.dumps({"kind": "ConfigMap", "data": {"policy.yaml": "mode: warn\nhedroom: {}\n"}})
    result = run("policy", "validate", "-", stdin=text.encode())
    assert result.returncode == 2
    assert b"<stdin> (policy.yaml):2: hedroom: unknown key" in result.stderr


def test_manifests_without_a_policy_are_no_policy():
    result = run("policy", "validate", "-", stdin=b"{apiVersion: v1, kind: Pod}")
    assert (result.returncode, result.stderr) == (
        2,
        b"error: <stdin>: no ConfigMap with the key policy.yaml\n",
    )


def test_show_fills_in_the_defaults():
    result = run("policy", "show", "-", stdin=b"mode: warn")
    assert yaml.safe_load(result.stdout) == {**policy_data(DEFAULT_POLICY), "mode": "warn"}


def test_show_without_a_file_shows_the_default_policy_which_is_valid():
    shown = run("policy", "show").stdout
    assert json.loads(run("policy", "show", "-o", "json").stdout) == policy_data(DEFAULT_POLICY)
    assert (
        policy_hash(DEFAULT_POLICY) in run("policy", "validate", "-", stdin=shown).stdout.decode()
    )


def test_the_schema_is_json():
    schema = json.loads(run("policy", "schema").stdout)
    assert list(policy_data(DEFAULT_POLICY)) == list(schema["properties"])
