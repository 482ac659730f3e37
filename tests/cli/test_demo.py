"""The demo: real server, real TLS, real command; its answers come from the snapshot it is given."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.running import run

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "examples" / "cluster.json"
DEMO = ROOT / "examples" / "demo"


def demo(*arguments, snapshot=CLUSTER, **options):
    return run("demo", "--snapshot", snapshot, *arguments, **options)


@pytest.fixture
def altered(tmp_path):
    """Writes the example cluster with its nodes changed, and returns the file."""

    def write(change):
        cluster = json.loads(CLUSTER.read_text())
        cluster["items"] = [
            obj for obj in cluster["items"] if obj["kind"] != "Node" or change(obj) is not False
        ]
        path = tmp_path / "altered.json"
        path.write_text(json.dumps(cluster))
        return path

    return write


def manifest(folder, text):
    path = folder / "manifest.yaml"
    path.write_text(text)
    return path


def web(expect, memory="64Mi", kind="Deployment"):
    return f"""
apiVersion: apps/v1
kind: {kind}
metadata: {{name: a, namespace: shop, annotations: {{kube-headroom.io/expect: "{expect}"}}}}
spec:
  replicas: 1
  template:
    spec:
      containers:
        - {{name: a, image: a, resources: {{limits: {{cpu: 10m, memory: {memory}}}}}}}
"""


def test_the_examples_are_answered_as_they_expect():
    """One is allowed, one lacks limits, one lacks memory, one scale is refused; nothing else is said."""
    started = time.monotonic()
    done = demo(DEMO)
    print(f"{time.monotonic() - started:.1f} s")
    text = done.stdout.decode()
    assert (done.returncode, done.stderr) == (0, b"")
    assert "$ kubectl apply -f" in text
    assert "deployment.apps/web created" in text
    assert re.search(
        r'\(Forbidden\): error when creating ".*2-no-limits.yaml": admission web', text
    )
    assert '[HR104] container "proxy": memory limit is missing' in text
    assert "[HR201] memory requests: 3 pods x 4Gi = 12Gi, headroom is 11741Mi on 3" in text
    assert "$ kubectl scale deployment catalog -n shop --replicas=20" in text
    assert "Error from server (Forbidden): admission webhook" in text
    assert "\x1b" not in text


def test_make_demo_is_this_command():
    """The target of the Makefile runs it on the examples."""
    makefile = (ROOT / "Makefile").read_text()
    assert "kube-headroom demo --snapshot examples/cluster.json" in makefile
    assert makefile.split("kube-headroom demo")[1].splitlines()[0].endswith("examples/demo")


def test_more_memory_changes_the_verdicts(altered):
    """With nodes of 64Gi there is room for everything that declares what it needs."""

    def grow(node):
        node["status"]["allocatable"]["memory"] = "64Gi"

    done = demo(DEMO, snapshot=altered(grow), env={"NO_COLOR": "1"})
    text = done.stdout.decode()
    assert done.returncode == 1
    assert "statefulset.apps/search created" in text
    assert "# expected: HR201 HR208; answered: allowed" in text
    assert b"not answered as expected" in done.stderr


def test_fewer_nodes_change_the_figures(altered):
    """With one node less there is less headroom, on two nodes."""
    done = demo(DEMO, snapshot=altered(lambda node: node["metadata"]["name"] != "worker-3"))
    shown = re.findall(r"headroom is (\d+)Mi on (\d) eligible nodes", done.stdout.decode())
    assert shown
    assert {count for _, count in shown} == {"2"}
    assert all(int(room) < 11741 for room, _ in shown)


def test_another_policy_changes_the_verdict(tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text("mode: warn\n")
    done = demo("--policy", policy, DEMO / "2-no-limits.yaml")
    assert done.returncode == 1
    assert "Warning: Deployment shop/checkout: [HR104]" in done.stdout.decode()
    assert "deployment.apps/checkout created" in done.stdout.decode()


def test_what_was_allowed_exists_and_is_promised(tmp_path):
    """A manifest that comes again is an update; a scale knows what was made before it."""
    scale = (
        web("allowed")
        .replace("apps/v1", "autoscaling/v1")
        .replace("kind: Deployment", "kind: Scale")
    )
    scale = scale.partition("  template")[0].replace("replicas: 1", "replicas: 2")
    path = manifest(tmp_path, "---".join((web("allowed"), web("allowed", "128Mi"), scale)))
    done = demo(path)
    assert done.returncode == 0
    assert re.findall(r"a (created|configured|scaled)|/a (\w+)", done.stdout.decode()) == [
        *(("", "created"), ("", "configured"), ("", "scaled")),
    ]


def test_a_manifest_without_expectation_may_be_refused(tmp_path):
    done = demo(manifest(tmp_path, web("")))
    assert done.returncode == 0
    done = demo(manifest(tmp_path, web("", "900Gi")))
    assert done.returncode == 0
    assert "[HR207]" in done.stdout.decode()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "manifest.yaml:1"),
        ("a: b", "apiVersion is missing"),
        ("", "no manifests"),
        ("{apiVersion: v1, kind: Service, metadata: {name: a}}", "judges no Service"),
        (
            "{apiVersion: autoscaling/v1, kind: Scale, metadata: {name: a}, spec: {replicas: 2}}",
            "there is no Deployment default/a to scale",
        ),
    ],
)
def test_a_bad_manifest_ends_with_2(tmp_path, text, said):
    """Nothing is sent when a manifest cannot be."""
    done = demo(manifest(tmp_path, text))
    assert (done.returncode, done.stdout) == (2, b"")
    assert said in done.stderr.decode()


def test_a_bad_snapshot_or_policy_ends_with_2(tmp_path):
    broken = manifest(tmp_path, "mode: [")
    assert demo(DEMO, snapshot=tmp_path / "none.json").returncode == 2
    assert demo(DEMO, snapshot=broken).returncode == 2
    done = demo("--policy", broken, DEMO)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


def test_no_cluster_client_is_loaded():
    """The demo runs where the kubernetes package is not even importable."""
    code = (
        "import sys; sys.modules['kubernetes'] = None\n"
        "from kube_headroom.cli.main import run\n"
        f"sys.exit(run(['demo', '--snapshot', {str(CLUSTER)!r}, {str(DEMO)!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
