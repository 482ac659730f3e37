"""The small demo app, as a person deploys and scales it."""

from __future__ import annotations

import re

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.e2e.looking import replicas, running
from tests.e2e.manifests import bare, container, demo_app, deployment, template

pytestmark = [pytest.mark.controlplane, pytest.mark.usefixtures("webhook")]

LIMIT_RANGE = """
apiVersion: v1
kind: LimitRange
metadata: {name: team-defaults}
spec:
  limits:
    - type: Container
      default: {cpu: 500m, memory: 256Mi}
      defaultRequest: {cpu: 250m, memory: 128Mi}
"""


def test_it_applies_and_runs(cluster: ControlPlane, namespace: str) -> None:
    said = cluster.apply(demo_app(namespace))
    assert said.stdout == "deployment.apps/demo created\n"
    assert said.stderr == ""
    wait_until(lambda: running(cluster, namespace) == 2, 30, "2 running pods")


def test_it_scales_to_6(cluster: ControlPlane, namespace: str) -> None:
    cluster.apply(demo_app(namespace))
    cluster.kubectl("scale", "deployment/demo", "--replicas=6", "-n", namespace)
    wait_until(lambda: running(cluster, namespace) == 6, 30, "6 running pods")


def test_scaling_past_the_nodes_is_refused_with_numbers(
    cluster: ControlPlane, namespace: str
) -> None:
    """At the command, saying how many fit; the Deployment keeps its size, and that many do fit."""
    cluster.apply(demo_app(namespace))
    wait_until(lambda: running(cluster, namespace) == 2, 30, "2 running pods")
    scale = ("scale", "deployment/demo", "-n", namespace)
    done = cluster.kubectl(*scale, "--replicas=200", check=False)
    assert done.returncode == 1
    assert "Error from server (Forbidden)" in done.stderr
    assert f"Deployment {namespace}/demo: " in done.stderr
    assert "[HR201] memory requests: 198 pods" in done.stderr, done.stderr
    assert "headroom is " in done.stderr
    assert "on 3 eligible nodes (free " in done.stderr
    assert replicas(cluster, "deployment/demo", namespace) == 2

    most = re.search(r"at most (\d+) replicas of this size fit", done.stderr)
    assert most, done.stderr
    cluster.kubectl(*scale, f"--replicas={most[1]}")
    assert "denied" in cluster.kubectl(*scale, f"--replicas={int(most[1]) + 1}", check=False).stderr


def test_without_limits_it_is_refused_with_every_problem(
    cluster: ControlPlane, namespace: str
) -> None:
    """One line each: both requests and both limits of one container, one limit of the other."""
    proxy = container(name="proxy")
    del proxy["resources"]["limits"]["memory"]
    done = cluster.apply(deployment(namespace, 2, pods=template(bare(), proxy)), check=False)
    assert done.returncode == 1
    assert "5 problems" in done.stderr
    for code, name, what in (
        ("HR101", "web", "cpu request"),
        ("HR102", "web", "memory request"),
        ("HR103", "web", "cpu limit"),
        ("HR104", "web", "memory limit"),
        ("HR104", "proxy", "memory limit"),
    ):
        assert f'[{code}] container "{name}": {what} is missing' in done.stderr, done.stderr
    assert not cluster.objects("deployments", namespace)


def test_a_requirement_and_no_room_are_told_together(cluster: ControlPlane, namespace: str) -> None:
    """Two problems of different kinds, one message, and the command that mends the first."""
    heavy = container("9Gi")
    del heavy["resources"]["limits"]["cpu"]
    done = cluster.apply(deployment(namespace, 3, pods=template(heavy)), check=False)
    assert f"Deployment {namespace}/web: 2 problems\n" in done.stderr
    assert '[HR103] container "web": cpu limit is missing' in done.stderr
    assert re.search(r"\[HR207\] memory requests? 9Gi .*7957Mi", done.stderr), done.stderr
    assert "set: kubectl set resources -f FILE --local -o yaml -c web --limits=cpu=..." in (
        done.stderr
    )


def test_a_limit_range_fills_in_what_is_missing(cluster: ControlPlane, namespace: str) -> None:
    """The API server will default the pods, so the Deployment is accepted, and runs."""
    assert "denied" in cluster.apply(demo_app(namespace, limits=False), check=False).stderr
    cluster.kubectl("apply", "-n", namespace, "-f", "-", input=LIMIT_RANGE)
    wait_until(
        lambda: cluster.apply(demo_app(namespace, limits=False), check=False).returncode == 0,
        10,
        "the LimitRange to be seen",
    )
    wait_until(lambda: running(cluster, namespace) == 2, 30, "2 running pods")


def test_a_pod_gets_its_defaults_before_it_is_judged(cluster: ControlPlane, namespace: str) -> None:
    cluster.kubectl("apply", "-n", namespace, "-f", "-", input=LIMIT_RANGE)
    pod = {"metadata": {"name": "bare", "namespace": namespace}, "spec": {"containers": [bare()]}}
    wait_until(
        lambda: (
            cluster.apply({"apiVersion": "v1", "kind": "Pod", **pod}, check=False).returncode == 0
        ),
        10,
        "the LimitRange to be seen",
    )
