"""What people, autoscalers and the programs they install do at once, again, or behind our back."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.shell import Done
from tests.controlplane.waiting import wait_until
from tests.e2e.cleaning import clear, empty
from tests.e2e.comparing import assert_book_is_exact
from tests.e2e.looking import events, replicas, running
from tests.e2e.manifests import (
    NODES,
    QUARTER,
    REST,
    Object,
    container,
    deployment,
    full_cluster,
    pod,
)
from tests.e2e.webhook import OWN_WEBHOOK, WebhookProcess
from tests.ledger.installation import Installation
from tests.ledger.users import Users, connected

pytestmark = pytest.mark.controlplane

AUTOSCALER = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"
DEPLOYMENT_CONTROLLER = "system:serviceaccount:kube-system:deployment-controller"
MANIFESTS = 200
FIT = 159  # pods of 150Mi on three nodes of 7957Mi


def test_200_manifests_in_one_file(cluster: ControlPlane, namespace: str) -> None:
    """The first 159 are made, in order; each of the others is told why not."""
    names = [f"app-{number:03}" for number in range(MANIFESTS)]
    done = cluster.apply(
        [deployment(namespace, 1, "150Mi", name=name) for name in names], check=False
    )
    made = sorted(each["metadata"]["name"] for each in cluster.objects("deployments", namespace))
    assert made == names[:FIT]
    assert done.stdout.splitlines() == [f"deployment.apps/{name} created" for name in made]
    refused = re.findall(
        r"Deployment \S+/(\S+): \d problems?\n  \[HR201\] memory requests: 1 pod of 150Mi",
        done.stderr,
    )
    assert refused == names[FIT:]
    wait_until(lambda: running(cluster, namespace) == FIT, 90, "all of them to run")


def test_200_at_once_share_the_ledgers_writes(cluster: ControlPlane) -> None:
    """With a stored ledger, those who wait while one write is under way are the next one's."""
    namespace = cluster.namespace("at-once", {OWN_WEBHOOK: "yes"})
    with Installation(cluster, 1) as installation:

        async def post() -> Counter[str]:
            async with connected(cluster, MANIFESTS) as client:
                users = Users(client, namespace)
                await asyncio.gather(*(users.make_deployment(each) for each in range(MANIFESTS)))
                return users.answers

        before = installation.total("kube_headroom_ledger_commits_total")
        answers = asyncio.run(post())
        writes = installation.total("kube_headroom_ledger_commits_total") - before
        print(f"{dict(answers)} with {writes} writes")
        assert answers == {"admitted": MANIFESTS}
        assert writes < MANIFESTS / 4
        empty(cluster, namespace)
        installation.wait_at_rest()


def scale(cluster: ControlPlane, namespace: str, name: str, size: int) -> Done:
    """Write a Scale as the autoscaler's controller does."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"
    found = json.loads(cluster.kubectl("get", "--raw", path).stdout)
    found["spec"]["replicas"] = size
    replace = ("replace", "--raw", path, "-f", "-", "--as", AUTOSCALER)
    return cluster.kubectl(*replace, input=json.dumps(found), check=False)


def scale_both(cluster: ControlPlane, namespace: str, size: int) -> list[Done]:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda name: scale(cluster, namespace, name, size), ("one", "two")))


def test_two_autoscalers_at_once(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str
) -> None:
    """Into room for one: by default both go and are told; where calls are enforced, one goes whole."""
    full, rest = full_cluster(namespace)
    full["spec"]["replicas"] = 4 * (NODES - 1)
    cluster.apply(
        [full, rest, *(deployment(namespace, 0, QUARTER, name=n) for n in ("one", "two"))]
    )
    wait_until(lambda: running(cluster, namespace) == 4 * (NODES - 1) + NODES, 60, "the rest")
    webhook.set_policy({"headroom": {"autoscalers": {"calls": "enforce"}}})
    try:
        done = scale_both(cluster, namespace, 4)
    finally:
        webhook.set_policy()
    assert sorted(each.returncode for each in done) == [0, 1]
    assert sum("[HR201]" in each.stderr for each in done) == 1
    sizes = [replicas(cluster, f"deployment/{name}", namespace) for name in ("one", "two")]
    assert sorted(sizes) == [0, 4]

    done = scale_both(cluster, namespace, 5)
    assert [each.returncode for each in done] == [0, 0]
    assert all("Warning: Deployment" in each.stderr for each in done)
    wait_until(lambda: len(cluster.objects("pods", namespace)) == 18 + NODES, 30, "all the pods")


def policy_of_mutation(name: str, namespace: str, expression: str) -> list[Object]:
    """Return an admission policy that changes the namespace's new pods, as an injector does."""
    here = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"]}
    patch = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}
    spec = {
        "matchConstraints": {
            "namespaceSelector": here,
            "resourceRules": [{**rule, "resources": ["pods"]}],
        },
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [patch],
    }
    version, kind = "admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy"
    named = {"apiVersion": version, "metadata": {"name": name}}
    return [
        {**named, "kind": kind, "spec": spec},
        {**named, "kind": f"{kind}Binding", "spec": {"policyName": name}},
    ]


def changed(name: str, resources: str) -> str:
    """Return the expression that adds a container, or changes the one of that name."""
    inside = "Object.spec.containers"
    one = f'{inside}{{name: "{name}", image: "registry.example/{name}:1", resources: {resources}}}'
    return f"Object{{spec: Object.spec{{containers: [{one}]}}}}"


def resources(memory: str, *, limits: bool) -> str:
    kinds = ["requests", *(["limits"] if limits else [])]
    parts = (f'{kind}: {{"memory": "{memory}", "cpu": "20m"}}' for kind in kinds)
    return f"Object.spec.containers.resources{{{', '.join(parts)}}}"


CHANGES = {
    "a sidecar": changed("proxy", resources("100Mi", limits=True)),
    "a sidecar without limits": changed("proxy", resources("100Mi", limits=False)),
    "larger requests": changed("web", resources("1989Mi", limits=True)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_pods_that_are_larger_than_their_template(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str, change: str
) -> None:
    """A sidecar is injected, or an autoscaler recreates pods larger: they pass, at their real size."""
    app = deployment(namespace, 4 * NODES, "1889Mi", name="app")
    spare = deployment(namespace, NODES, "401Mi", name="spare")
    cluster.apply([app, spare])
    wait_until(lambda: running(cluster, namespace) == 5 * NODES, 60, "a full cluster")
    policy = policy_of_mutation(namespace, namespace, CHANGES[change])
    cluster.apply(policy)
    try:
        probe = pod(namespace, "probe", container("1Mi"))
        wait_until(lambda: is_changed(cluster, probe), 30, "new pods to be changed")
        victim = pods_of(cluster, namespace)[0]
        cluster.kubectl("delete", "pod", victim, "-n", namespace, "--wait=false")
        told = "free 1889Mi - still to come 1989Mi"
        wait_until(lambda: told in cluster.apply(probe, check=False).stderr, 20, "its real size")
        cluster.kubectl("delete", "deployment", "spare", "-n", namespace)
        cluster.kubectl("rollout", "restart", "deployment/app", "-n", namespace)
        status = ("rollout", "status", "deployment/app", "-n", namespace, "--timeout=60s")
        cluster.kubectl(*status, timeout=70)
        full = "headroom is 3Mi on 3 eligible nodes (free 3Mi)"
        more = pod(namespace, "more", container("4Mi"))
        wait_until(lambda: full in cluster.apply(more, check=False).stderr, 30, "their real size")
    finally:
        for kind in ("mutatingadmissionpolicybinding", "mutatingadmissionpolicy"):
            cluster.kubectl("delete", kind, namespace)
    assert not events(cluster, namespace, "FailedCreate")


def pods_of(cluster: ControlPlane, namespace: str) -> list[str]:
    pods = cluster.objects("pods", namespace, "-l", "app=app")
    return [each["metadata"]["name"] for each in pods]


def is_changed(cluster: ControlPlane, probe: Object) -> bool:
    """Tell whether pods are changed already: in the reply, or in what the refusal says they ask."""
    done = cluster.apply(probe, "--dry-run=server", check=False)
    return re.search(r"1 pod of (101|1989)Mi", done.stderr) is not None


def test_a_pod_of_an_operator_waits_for_room(cluster: ControlPlane, namespace: str) -> None:
    """Refused in the words that make workflow engines try again; made when there is room."""
    cluster.apply(full_cluster(namespace))
    wait_until(lambda: running(cluster, namespace) == 5 * NODES, 60, "a full cluster")
    custom = {"apiVersion": "v1", "kind": "ConfigMap"}
    cluster.apply({**custom, "metadata": {"name": "run", "namespace": namespace}})
    uid = cluster.get("configmap", "run", namespace)["metadata"]["uid"]
    step = pod(namespace, "step", container(QUARTER), restartPolicy="Never")
    owner = {**custom, "name": "run", "uid": uid, "controller": True}
    step["metadata"]["ownerReferences"] = [owner]
    done = cluster.apply(step, check=False)
    assert "[HR201] exceeded quota: memory requests: 1 pod of 1989Mi" in done.stderr
    cluster.kubectl("scale", "deployment/app", "--replicas=11", "-n", namespace)
    wait_until(lambda: cluster.apply(step, check=False).returncode == 0, 20, "room for it")
    wait_until(lambda: running(cluster, namespace) == 5 * NODES, 30, "it to run")


PROMISE_SECONDS = 2
# Old after 2 s, questioned every 5 s, and then the watch must have moved on.
BACK_SECONDS = 20
RETRIES = 8  # as often as the API server makes up another name


@pytest.fixture(scope="module")
def their_namespace(cluster: ControlPlane) -> Iterator[str]:
    """A namespace that the shared webhook does not judge."""
    name = cluster.namespace("own", {OWN_WEBHOOK: "yes"})
    yield name
    empty(cluster, name)


@pytest.fixture(scope="module")
def forgetful(cluster: ControlPlane, their_namespace: str) -> Iterator[WebhookProcess]:
    """A webhook whose promises are old after 2 s."""
    arguments = [f"--promise-seconds={PROMISE_SECONDS}"]
    only = [their_namespace]
    with WebhookProcess(cluster, only_namespaces=only, arguments=arguments) as webhook:
        yield webhook


@pytest.fixture
def aside(cluster: ControlPlane, forgetful: WebhookProcess, their_namespace: str) -> Iterator[str]:
    """Its namespace, as empty as its book; at the end that must be what the API server lists."""
    wait_until(lambda: forgetful.metrics().committed() == 0, 30, "its book to be empty")
    yield their_namespace
    assert_book_is_exact(forgetful)
    clear(cluster, their_namespace)


def test_generated_names_that_come_to_nothing(
    cluster: ControlPlane, forgetful: WebhookProcess, aside: str
) -> None:
    """Each try is another name and another uid, refused after us: none of them lasts."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": {"pods": "1"}}}
    quota["metadata"] = {"name": "one", "namespace": aside}
    cluster.apply([quota, pod(aside, "alive")])
    used = {"pods": "1"}
    wait_until(
        lambda: cluster.get("resourcequota", "one", aside)["status"].get("used") == used,
        20,
        "the quota to be counted",
    )
    before = forgetful.metrics().committed()
    generated = pod(aside, "any", container("64Mi"))
    generated["metadata"] = {"namespace": aside, "generateName": "any-"}
    for _ in range(RETRIES):
        create = ("create", "-f", "-")
        done = cluster.kubectl(*create, input=json.dumps(generated), check=False)
        assert "exceeded quota: one" in done.stderr
    assert forgetful.metrics().committed() > before
    numbers = count()

    def back() -> bool:
        touch = ("annotate", "pod", "alive", "-n", aside, "--overwrite")
        cluster.kubectl(*touch, f"seen={next(numbers)}")  # somewhere a pod changes
        return forgetful.metrics().committed() == before

    wait_until(back, BACK_SECONDS, "the room to be back")


def test_a_name_that_exists_is_not_promised_twice(
    cluster: ControlPlane, forgetful: WebhookProcess, aside: str
) -> None:
    """Created again and again: the API server refuses after us, and nothing more is held."""
    mine = json.dumps(pod(aside, "mine", container(QUARTER)))
    cluster.kubectl("create", "-f", "-", input=mine)
    wait_until(lambda: running(cluster, aside) == 1, 30, "it to run")
    wait_until(lambda: forgetful.metrics().promises == 0, 10, "it to be seen")
    for _ in range(RETRIES):
        again = cluster.kubectl("create", "-f", "-", input=mine, check=False)
        assert "already exists" in again.stderr
    assert forgetful.metrics().promises > 0
    assert forgetful.metrics().committed() == 1989 << 20


def test_a_controller_that_creates_again(
    cluster: ControlPlane, forgetful: WebhookProcess, aside: str
) -> None:
    """With a late view of its own it makes its ReplicaSet twice; the second holds nothing."""
    cluster.apply(deployment(aside, 4 * NODES, QUARTER))
    wait_until(lambda: running(cluster, aside) == 4 * NODES, 60, "a full cluster")
    wait_until(lambda: forgetful.metrics().promises == 0, 10, "all of it to be seen")
    [made] = cluster.objects("replicasets", aside)
    again = {each: made[each] for each in ("apiVersion", "kind", "spec")}
    kept = ("name", "namespace", "labels", "ownerReferences")
    again["metadata"] = {each: made["metadata"][each] for each in kept}
    create = ("create", "-f", "-", "--as", DEPLOYMENT_CONTROLLER)
    done = cluster.kubectl(*create, input=json.dumps(again), check=False)
    assert "already exists" in done.stderr
    assert forgetful.metrics().promises > 0
    last = pod(aside, "last", container(REST))
    assert cluster.apply(last, check=False).stderr == ""


def test_a_webhook_that_was_away_finds_the_book_as_it_is(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str
) -> None:
    """With Ignore all goes in meanwhile; back again, it refuses growth and nothing else."""
    cluster.apply(full_cluster(namespace))
    wait_until(lambda: running(cluster, namespace) == 5 * NODES, 60, "a full cluster")
    ignored = [{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]
    patch = ("patch", "validatingwebhookconfiguration", webhook.release, "--type=json", "-p")
    cluster.kubectl(*patch, json.dumps(ignored))
    webhook.kill()
    try:
        slipped = deployment(namespace, 4, QUARTER, name="slipped")
        wait_until(lambda: cluster.apply(slipped, check=False).returncode == 0, 20, "it to be open")
        cluster.kubectl("scale", "deployment/rest", "--replicas=5", "-n", namespace)
        wait_until(lambda: len(cluster.objects("pods", namespace)) == 21, 30, "what slipped in")
    finally:
        webhook.start()
        webhook.wait_ready()
        webhook.register()
        webhook.wait_acting()
    app = ("deployment/app", "-n", namespace)
    refused = cluster.kubectl("scale", *app, "--replicas=13", check=False).stderr
    # Four quarters and two of the rest wait, which nobody was asked about.
    assert "(free 0 - still to come 7958Mi)" in refused
    victim = pods_of(cluster, namespace)[0]
    cluster.kubectl("delete", "pod", victim, "-n", namespace)
    wait_until(lambda: len(cluster.objects("pods", namespace)) == 21, 30, "its replacement")
    for name, size in (("slipped", 0), ("rest", NODES)):
        cluster.kubectl("scale", f"deployment/{name}", f"--replicas={size}", "-n", namespace)
    cluster.kubectl("rollout", "restart", *app)
    cluster.kubectl("rollout", "status", *app, "--timeout=60s", timeout=70)
    assert not events(cluster, namespace, "FailedCreate")
