"""simulate: the stable JSON, the table, exit codes, updates, and what broken input does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.running import run

Object = dict[str, Any]
KEYS = {"fits", "reasons", "maxReplicas", "verdict", "violations"}


def node(name: str, memory: str = "8Gi", **spec: Any) -> Object:
    offered = {"cpu": "4", "memory": memory, "pods": "10"}
    status = {"allocatable": offered, "conditions": [{"type": "Ready", "status": "True"}]}
    metadata = {"name": name, "labels": {"disk": "ssd"}}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": metadata,
        "spec": spec,
        "status": status,
    }


def spec(memory: str, **more: Any) -> Object:
    amounts = {"cpu": "100m", "memory": memory}
    resources = {"requests": amounts, "limits": dict(amounts)}
    return {"containers": [{"name": "a", "image": "any", "resources": resources}], **more}


def pod(name: str, memory: str, *, metadata: Object | None = None, **more: Any) -> Object:
    named = {"name": name, "namespace": "shop", **(metadata or {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": named, "spec": spec(memory, **more)}


def deployment(name: str, memory: str, replicas: int | None, **metadata: Any) -> Object:
    body: Object = {"template": {"spec": spec(memory)}}
    if replicas is not None:
        body["replicas"] = replicas
    named = {"name": name, "namespace": "shop", **metadata}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": named, "spec": body}


CLUSTER = [
    node("large"),
    node("small", "1Gi"),
    node("tainted", taints=[{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}]),
    node("cordoned", unschedulable=True),
]


@pytest.fixture
def simulate(tmp_path: Path):
    """Run the command on a cluster and manifests; return its answer, exit code and stderr."""

    def call(cluster: list[Object], *manifests: Object, more: tuple[str, ...] = ()):
        file = tmp_path / "cluster.json"
        file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": cluster}))
        text = yaml.safe_dump_all(manifests).encode()
        done = run("simulate", "--snapshot", file, "-f", "-", "-o", "json", *more, stdin=text)
        return json.loads(done.stdout), done.returncode, done.stderr.decode()

    return call


def test_one_object_has_exactly_the_stable_keys(simulate):
    answer, code, stderr = simulate(CLUSTER, pod("web", "2Gi"))
    assert (code, stderr) == (0, "")
    assert answer == {
        "fits": ["large"],
        "reasons": {
            "cordoned": "unschedulable: the node is cordoned",
            "small": "Insufficient memory",
            "tainted": "untolerated taint: the taint dedicated=gpu:NoSchedule is not tolerated",
        },
        "maxReplicas": 4,
        "verdict": "allow",
        "violations": [],
    }


def test_several_objects_are_items_that_say_what_they_are(simulate):
    """Each is judged beside the snapshot alone."""
    answer, code, _ = simulate(CLUSTER, pod("one", "5Gi"), deployment("two", "5Gi", 1))
    assert code == 0
    assert [(item["kind"], item["namespace"], item["name"]) for item in answer["items"]] == [
        ("Pod", "shop", "one"),
        ("Deployment", "shop", "two"),
    ]
    assert all(item.keys() == KEYS | {"kind", "namespace", "name"} for item in answer["items"])
    assert [item["verdict"] for item in answer["items"]] == ["allow", "allow"]


def test_a_denial_is_exit_code_1_and_names_every_violation(simulate):
    manifest = deployment("web", "2Gi", 9)
    del manifest["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]
    answer, code, _ = simulate(CLUSTER, manifest)
    assert (code, answer["verdict"], answer["maxReplicas"]) == (1, "deny", 4)
    codes = [each["code"] for each in answer["violations"]]
    assert codes == ["HR104", "HR201", "HR208"]
    assert answer["violations"][0] == {
        "code": "HR104",
        "container": "a",
        "path": "spec.template.spec.containers[0].resources.limits.memory",
        "message": "memory limit is missing",
    }
    assert "9 pods x 2Gi = 18Gi" in answer["violations"][1]["message"]


@pytest.mark.parametrize(
    ("present", "most", "fits"),
    [
        ([], 4, ["large"]),
        ([pod("x", "7Gi", nodeName="large")], 0, []),
        ([pod("x", "3Gi")], 3, ["large"]),
        ([pod("x", "3Gi") | {"status": {"phase": "Failed"}}], 4, ["large"]),
        ([deployment("other", "2Gi", 3)], 1, ["large"]),
        (
            [
                pod(
                    "x",
                    "7Gi",
                    nodeName="large",
                    metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"},
                )
            ],
            4,
            [],
        ),
    ],
    ids=["empty", "assigned", "unassigned", "finished", "missing", "terminating"],
)
def test_the_scheduler_counts_what_sits_and_the_book_what_is_committed(
    simulate, present, most, fits
):
    """A terminating pod is in the scheduler's way, not in ours; a waiting one in ours alone.

    Beside one of 3Gi that waits three are not refused, though two fit: conditions are necessary ones.
    """
    answer, _, _ = simulate([*CLUSTER, *present], pod("web", "2Gi"))
    assert (answer["maxReplicas"], answer["fits"]) == (most, fits)


def test_max_replicas_of_a_workload_counts_its_own(simulate):
    """The same kind, namespace and name in the snapshot is updated: it does not stand in its own way."""
    present = deployment("web", "2Gi", 3, uid="d", resourceVersion="7")
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d"}
    own = [
        pod(
            f"web-{index}",
            "2Gi",
            nodeName="large",
            metadata={"uid": f"p{index}", "ownerReferences": [{**owner, "controller": True}]},
        )
        for index in range(2)
    ]
    answer, code, _ = simulate([*CLUSTER, present, *own], deployment("web", "2Gi", 4))
    assert (code, answer["maxReplicas"], answer["verdict"]) == (0, 4, "allow")
    answer, code, _ = simulate([*CLUSTER, present, *own], deployment("web", "2Gi", 5))
    assert (code, answer["maxReplicas"], answer["verdict"]) == (1, 4, "deny")
    answer, _, _ = simulate([*CLUSTER, present, *own], deployment("other", "2Gi", 1))
    assert answer["maxReplicas"] == 1


def test_what_an_update_leaves_out_stays(simulate):
    """As with kubectl apply: a Deployment under an autoscaler says no replicas."""
    present = deployment("web", "2Gi", 4, uid="d", resourceVersion="7")
    answer, _, _ = simulate([*CLUSTER, present], deployment("web", "3Gi", None))
    assert [each["code"] for each in answer["violations"]] == ["HR201", "HR208"]
    assert answer["maxReplicas"] == 2


def test_a_policy_and_a_namespace_can_be_given(simulate, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text("requirements: {limits: []}\nheadroom: {memory: {reserve: 50%}}\n")
    manifest = pod("web", "2Gi")
    del manifest["metadata"]["namespace"]
    more = ("--policy", str(policy), "--namespace", "dev")
    answer, code, _ = simulate(CLUSTER, manifest, more=more)
    assert (code, answer["maxReplicas"]) == (0, 2)


def test_pods_are_completed_as_the_api_server_does(simulate):
    """LimitRanges, RuntimeClasses and PriorityClasses apply, from the snapshot or the manifests."""
    limit_range = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "l", "namespace": "shop"},
        "spec": {"limits": [{"type": "Container", "default": {"cpu": "1", "memory": "3Gi"}}]},
    }
    bare = pod("web", "2Gi")
    del bare["spec"]["containers"][0]["resources"]
    for cluster, manifests in (([*CLUSTER, limit_range], [bare]), (CLUSTER, [bare, limit_range])):
        answer, code, _ = simulate(cluster, *manifests)
        assert (code, answer["violations"], answer["maxReplicas"]) == (0, [], 2)
    answer, code, _ = simulate(CLUSTER, bare)
    assert (code, len(answer["violations"])) == (1, 4)


def test_a_daemon_set_has_a_pod_on_each_node_that_takes_one(simulate):
    manifest = deployment("agent", "2Gi", None) | {"kind": "DaemonSet"}
    answer, code, _ = simulate(CLUSTER, manifest)
    assert (code, answer["fits"], answer["maxReplicas"]) == (0, ["cordoned", "large"], 2)


def test_nothing_is_asked_of_an_empty_cluster(simulate):
    answer, code, _ = simulate([], pod("web", "2Gi"))
    assert (code, answer["fits"], answer["reasons"], answer["maxReplicas"]) == (1, [], {}, 0)
    assert [each["code"] for each in answer["violations"]] == ["HR207"]


def test_a_broken_document_is_named_and_the_others_are_answered(tmp_path):
    cluster, file = tmp_path / "cluster.json", tmp_path / "pods.yaml"
    cluster.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": CLUSTER}))
    file.write_text(
        json.dumps(pod("web", "2Gi")) + "\n---\na: [\n---\nkind: Pod\napiVersion: v1\nspec: 3\n"
    )
    done = run("simulate", "--snapshot", cluster, "-f", file, "-o", "json")
    assert done.returncode == 2
    assert json.loads(done.stdout).keys() == KEYS
    lines = done.stderr.decode().splitlines()
    assert [line.startswith(f"error: {file}:") for line in lines] == [True, True]
    assert lines[1].startswith(f"error: {file}:5: spec: ")


@pytest.mark.parametrize("text", [None, "", "{", "[]"], ids=["none", "empty", "broken", "a list"])
def test_a_snapshot_that_is_none_is_exit_code_2(tmp_path, text):
    file = tmp_path / "cluster.json"
    if text is not None:
        file.write_text(text)
    done = run("simulate", "--snapshot", file, "-f", "/dev/null")
    assert b"Traceback" not in done.stderr
    assert done.returncode == (0 if text == "" else 2)


def test_the_table_is_for_people(tmp_path):
    cluster = tmp_path / "cluster.json"
    cluster.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": CLUSTER}))
    text = json.dumps(deployment("web", "2Gi", 9)).encode()
    done = run("simulate", "--snapshot", cluster, "-f", "-", stdin=text)
    assert done.returncode == 1
    assert done.stdout.decode().splitlines() == [
        "NAMESPACE  NAME            VERDICT  MAX  FITS  FOUND",
        "shop       deployment/web  deny     4    1/4   3",
        "",
        "Deployment shop/web:",
        "  [HR201] memory requests: 9 pods x 2Gi = 18Gi, headroom is 9Gi on 2 eligible nodes (free 9Gi)",
        "          at most 4 replicas of this size fit; the largest free node has 8Gi",
        "  [HR202] memory limits: 9 pods x 2Gi = 18Gi, headroom is 13.5Gi on 2 eligible nodes (free 13.5Gi) (only told)",
        "          at most 4 replicas of this size fit",
        "  [HR208] memory requests: 9 pods of 2Gi each, but 2 eligible nodes have room for 4 whole pods of that size",
        "          at most 4 replicas of this size fit; the largest free node has 8Gi",
        "  fits on: large",
        "  1 node: unschedulable: the node is cordoned",
        "  1 node: Insufficient memory",
        "  1 node: untolerated taint: the taint dedicated=gpu:NoSchedule is not tolerated",
    ]
