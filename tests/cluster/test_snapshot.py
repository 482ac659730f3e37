"""A cluster from a file."""

import json
import subprocess
import sys

import pytest

from kube_headroom.cluster.resource_paths import RESOURCES
from kube_headroom.cluster.snapshot import SnapshotError, fill_view, load_snapshot
from tests.cluster.recording import RecordingView

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "resourceVersion": "12"}}
NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"k": "eA=="}}
ODD = {"apiVersion": "example.com/v1", "kind": "Odd", "spec": {"replicas": "three"}}


def kinds(tmp_path, text: str, name: str = "snapshot.json") -> list[tuple[str, str]]:
    path = tmp_path / name
    path.write_text(text)
    return [(obj.kind, obj.metadata.name) for obj in load_snapshot(path)]


def listing(*items: dict, kind: str = "List") -> str:
    return json.dumps({"apiVersion": "v1", "kind": kind, "items": list(items)})


def test_what_kubectl_prints_is_read_and_other_kinds_are_skipped(tmp_path):
    assert kinds(tmp_path, listing(POD, SECRET, NODE)) == [("Pod", "a"), ("Node", "n")]


def test_a_kind_we_never_read_may_have_any_shape(tmp_path):
    assert kinds(tmp_path, listing(POD, ODD, NODE)) == [("Pod", "a"), ("Node", "n")]


def test_items_of_a_typed_list_are_what_the_list_says(tmp_path):
    assert kinds(tmp_path, listing({"metadata": {"name": "a"}}, kind="PodList")) == [("Pod", "a")]


def test_a_single_object_will_do(tmp_path):
    assert kinds(tmp_path, json.dumps(POD)) == [("Pod", "a")]


def test_lists_in_lists_are_read(tmp_path):
    inner = json.loads(listing(NODE))
    assert kinds(tmp_path, listing(POD, inner)) == [("Pod", "a"), ("Node", "n")]


def test_yaml_and_several_documents_are_read(tmp_path):
    text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\n" + json.dumps(NODE)
    assert kinds(tmp_path, text, "snapshot.yaml") == [("Pod", "a"), ("Node", "n")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"kind": ', "snapshot.json:1: JSON"),
        (listing({"apiVersion": "v1", "kind": "Pod", "spec": {"nodeName": 5}}), "spec.nodeName"),
        ("kind: Pod\n", "apiVersion is missing"),
        ("a: [", "while parsing a flow node"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, text, said):
    with pytest.raises(SnapshotError, match=said.replace(".", r"\.")):
        kinds(tmp_path, text)


def test_a_file_that_is_not_there_or_no_text_is_said(tmp_path):
    with pytest.raises(SnapshotError, match="No such file"):
        load_snapshot(tmp_path / "nowhere")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SnapshotError, match="no UTF-8"):
        load_snapshot(tmp_path / "binary")


def test_a_view_is_filled_and_absent_types_count_as_empty(tmp_path):
    path = tmp_path / "s.json"
    path.write_text(listing(POD, NODE))
    view = RecordingView()
    fill_view(view, load_snapshot(path))
    assert view.listed == dict.fromkeys(RESOURCES, 1)
    assert view.names("pods", "") == ["a"]
    assert view.versions["pods"] == "12"
    assert view.versions["nodes"] == "0"


def test_an_older_version_of_a_group_is_the_same_resource(tmp_path):
    """autoscaling/v1 beside autoscaling/v2."""
    old = {
        "apiVersion": "autoscaling/v1",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "h"},
    }
    assert kinds(tmp_path, listing(old)) == [("HorizontalPodAutoscaler", "h")]


def test_no_client_is_imported():
    check = "import sys, kube_headroom.cluster.snapshot; print('kubernetes' in sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "False"
