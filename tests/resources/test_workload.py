"""Each kind of workload asks for its number of pods of its template."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kube_headroom.resources.objects import KubeObject
from kube_headroom.resources.workload import GROUPS, workload_of
from tests.resources.cases_of import cases_of


@pytest.mark.parametrize("case", cases_of("workloads"))
def test_a_workload_asks_for_its_pods(case: dict[str, Any]) -> None:
    group = GROUPS.get(case["kind"])
    api_version = case.get("apiVersion", f"{group}/v1" if group else "v1")
    manifest = {"apiVersion": api_version, **{k: case.get(k) for k in ("kind", "spec", "status")}}
    nodes = {"eligible_nodes": case["nodes"]} if "nodes" in case else {}
    workload = workload_of(msgspec.convert(manifest, KubeObject), **nodes)
    if case.get("none"):
        assert workload is None
        return
    assert workload is not None
    assert (workload.declared, workload.peak) == (case["declared"], case["peak"])
    assert workload.desired == case["declared"]
    if "unavailable" in case:
        assert workload.unavailable == case["unavailable"]


PATHS = dict.fromkeys(GROUPS, "spec.template.spec") | {
    "Pod": "spec",
    "CronJob": "spec.jobTemplate.spec.template.spec",
}


@pytest.mark.parametrize("kind", GROUPS)
def test_the_template_is_found_where_its_path_says(kind: str) -> None:
    """The path is what messages name, so it must lead to the containers."""
    empty = KubeObject(kind=kind)
    without = workload_of(empty)
    assert without is not None
    assert without.template_path == PATHS[kind]
    assert not without.template.containers
    metadata = {"labels": {"app": "web"}}
    nested: dict[str, Any] = {"containers": [{"name": "web"}]}
    for part in reversed(PATHS[kind].split(".")):
        nested = {part: nested | ({"metadata": metadata} if part == "template" else {})}
    manifest = {"kind": kind, "metadata": metadata, **nested}
    workload = workload_of(msgspec.convert(manifest, KubeObject))
    assert workload is not None
    assert [each.name for each in workload.template.containers or ()] == ["web"]
    assert workload.template_metadata is not None
    assert workload.template_metadata.labels == {"app": "web"}


def test_a_workload_knows_who_it_is() -> None:
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": "shop", "generateName": "web-", "uid": "u"},
    }
    workload = workload_of(msgspec.convert(manifest, KubeObject))
    assert workload is not None
    assert (workload.kind, workload.api_version) == ("Deployment", "apps/v1")
    assert (workload.namespace, workload.name, workload.uid) == ("shop", "web-", "u")
