"""What the chart puts into a cluster: claims about the rendered objects."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from kube_headroom.cluster.resource_paths import RESOURCES
from kube_headroom.server.settings import OPTIONS, read_settings
from tests.chart.render import NAMESPACE, objects, only, policy_config_map, template
from tests.chart.render import webhook_configuration as rendered_webhooks

CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
OWN_SECRET = {"tls": {"mode": "existingSecret", "existingSecret": {"name": "own", "caBundle": CA}}}


@pytest.fixture(scope="module")
def rendered() -> list[dict[str, Any]]:
    return objects()


@pytest.fixture(scope="module")
def pod(rendered) -> dict[str, Any]:
    return only("Deployment", rendered)["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def webhooks(rendered) -> dict[str, dict[str, Any]]:
    configuration = only("ValidatingWebhookConfiguration", rendered)
    return {webhook["name"]: webhook for webhook in configuration["webhooks"]}


def settings_of(rendered: list[dict[str, Any]]):
    """What the server would read from the Deployment's arguments."""
    args = only("Deployment", rendered)["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args[0] == "serve"
    flags = dict(argument.split("=", 1) for argument in args[1:])
    known = {option.flag: option.name for option in OPTIONS}
    assert set(flags) <= set(known), "the server knows every flag the chart gives it"
    return read_settings({known[flag]: text for flag, text in flags.items()}, {})


def test_rendering_twice_gives_the_same_text():
    """Argo CD compares renderings: no lookup, no genCA, no random, no date."""
    assert template() == template()


def test_covered_are_creates_and_updates_of_workloads_their_resize_and_scale(webhooks):
    rules = webhooks["workloads.kube-headroom.io"]["rules"]
    covered = {group: rule["resources"] for rule in rules for group in rule["apiGroups"]}
    assert covered == {
        "": ["pods", "pods/resize", "replicationcontrollers", "replicationcontrollers/scale"],
        "apps": [
            "daemonsets",
            "deployments",
            "deployments/scale",
            "replicasets",
            "replicasets/scale",
            "statefulsets",
            "statefulsets/scale",
        ],
        "batch": ["cronjobs", "jobs"],
    }
    for rule in rules:
        assert rule["operations"] == ["CREATE", "UPDATE"]
        assert rule["scope"] == "Namespaced"


def test_both_entries_are_called_as_kube_apiserver_expects(webhooks):
    for webhook in webhooks.values():
        assert webhook["matchPolicy"] == "Equivalent"
        assert webhook["timeoutSeconds"] == 5
        assert webhook["admissionReviewVersions"] == ["v1"]
        assert webhook["clientConfig"]["service"] == {
            "name": "kube-headroom",
            "namespace": NAMESPACE,
            "path": "/validate",
            "port": 443,
        }


def test_no_ca_bundle_is_rendered_where_the_server_publishes_it(webhooks):
    """A rendered bundle, even an empty one, would be written over the server's at every upgrade."""
    assert all("caBundle" not in webhook["clientConfig"] for webhook in webhooks.values())


def test_a_dead_webhook_refuses_workloads_but_never_the_repair_of_its_policy(webhooks):
    assert webhooks["workloads.kube-headroom.io"]["failurePolicy"] == "Fail"
    assert webhooks["policy.kube-headroom.io"]["failurePolicy"] == "Ignore"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"policy": {"mode": "audit"}}, "Ignore"),
        ({"policy": {"mode": "warn"}}, "Fail"),
        ({"policy": {"mode": "audit"}, "webhook": {"failurePolicy": "Fail"}}, "Fail"),
        ({"policy": {"mode": "audit"}, "existingConfigMap": "mine"}, "Fail"),
    ],
)
def test_a_trial_run_never_blocks_anybody_whatever_fails(values, expected):
    configuration = only("ValidatingWebhookConfiguration", objects(values))
    assert configuration["webhooks"][0]["failurePolicy"] == expected


def test_dry_runs_are_judged(webhooks):
    effects = {name: webhook["sideEffects"] for name, webhook in webhooks.items()}
    assert effects == {
        "workloads.kube-headroom.io": "NoneOnDryRun",
        "policy.kube-headroom.io": "None",
    }


def test_own_and_system_namespaces_are_never_judged():
    configuration = only(
        "ValidatingWebhookConfiguration",
        objects({"webhook": {"exemptNamespaces": ["argocd"]}}, namespace="guard"),
    )
    workloads, policy = (one["namespaceSelector"] for one in configuration["webhooks"])
    assert workloads["matchExpressions"] == [
        {
            "key": "kubernetes.io/metadata.name",
            "operator": "NotIn",
            "values": ["guard", "kube-system", "kube-public", "kube-node-lease", "argocd"],
        }
    ]
    assert policy["matchExpressions"] == [
        {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["guard"]}
    ]


def test_the_server_and_the_conditions_know_the_same_controllers():
    values = {"controllers": ["system:serviceaccount:kube-system:job-controller", "system:own"]}
    rendered = objects(values)
    conditions = only("ValidatingWebhookConfiguration", rendered)["webhooks"][0]["matchConditions"]
    assert (
        'request.userInfo.username in ["system:serviceaccount:kube-system:job-controller",'
        '"system:own"]'
    ) in conditions[0]["expression"]
    assert settings_of(rendered).controllers == tuple(values["controllers"])


def test_the_server_is_told_the_names_the_chart_chose():
    rendered = objects({"fullnameOverride": "guard"}, namespace="platform")
    settings = settings_of(rendered)
    assert settings.namespace == "platform"
    assert only("ConfigMap", rendered, settings.policy_configmap)
    assert only("Service", rendered, settings.service_name)
    assert only("ValidatingWebhookConfiguration", rendered, settings.webhook_configuration)
    assert f"{settings.service_name}.platform.svc" in settings.dns_names


def test_the_chart_and_the_server_default_to_the_same_controllers(rendered):
    assert settings_of(rendered).controllers == read_settings({}, {}).controllers


def test_an_existing_config_map_replaces_the_rendered_policy():
    rendered = objects({"existingConfigMap": "ours"})
    assert not [one for one in rendered if one["kind"] == "ConfigMap"]
    assert settings_of(rendered).policy_configmap == "ours"
    assert only("Role", rendered)["rules"][0]["resourceNames"] == ["ours"]
    policy = only("ValidatingWebhookConfiguration", rendered)["webhooks"][1]
    assert policy["matchConditions"][0]["expression"] == 'object.metadata.name == "ours"'


def test_a_secret_of_ones_own_is_mounted_and_its_ca_trusted():
    rendered = objects(OWN_SECRET)
    settings = settings_of(rendered)
    pod = only("Deployment", rendered)["spec"]["template"]["spec"]
    mount = pod["containers"][0]["volumeMounts"][0]
    assert pod["volumes"] == [
        {"name": mount["name"], "secret": {"secretName": "own", "defaultMode": 0o400}}
    ]
    assert str(settings.tls_cert_file) == f"{mount['mountPath']}/tls.crt"
    assert str(settings.tls_key_file) == f"{mount['mountPath']}/tls.key"
    for webhook in only("ValidatingWebhookConfiguration", rendered)["webhooks"]:
        assert base64.b64decode(webhook["clientConfig"]["caBundle"]).decode() == CA


def test_with_a_secret_of_ones_own_the_server_may_not_write_the_configuration():
    rendered = objects(OWN_SECRET)
    assert settings_of(rendered).webhook_configuration == ""
    rules = only("ClusterRole", rendered)["rules"]
    assert {verb for rule in rules for verb in rule["verbs"]} == {"list", "watch"}


def test_the_server_may_read_exactly_what_its_view_follows(rendered):
    rules = only("ClusterRole", rendered)["rules"]
    followed = {
        (group, resource)
        for rule in rules
        if rule["verbs"] == ["list", "watch"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert followed == {(one.group, one.plural) for one in RESOURCES.values()}


def test_the_pod_is_restricted(pod):
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert pod["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_one_process_at_a_time_keeps_the_book(rendered):
    spec = only("Deployment", rendered)["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}


def test_a_leaving_pod_has_time_to_drain(rendered, pod):
    assert pod["terminationGracePeriodSeconds"] > settings_of(rendered).drain_max_seconds + 10
    assert "lifecycle" not in pod["containers"][0]


def test_the_probes_ask_the_plain_port(pod):
    container = pod["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"webhook": 8443, "metrics": 8080}
    paths = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness")}
    assert all(get == {"path": "/livez", "port": "metrics"} for get in paths.values())
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        ({}, "kube-headroom:0.1.0"),
        ({"tag": "dev"}, "kube-headroom:dev"),
        ({"registry": "registry.example", "repository": "a/b"}, "registry.example/a/b:0.1.0"),
        ({"tag": "x", "digest": f"sha256:{'0' * 64}"}, f"kube-headroom@sha256:{'0' * 64}"),
    ],
)
def test_a_digest_wins_over_a_tag_and_a_tag_over_the_version(image, reference):
    pod = only("Deployment", objects({"image": image}))["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == reference


def test_common_labels_are_on_every_object_and_never_replace_the_charts_own():
    labels = {"team": "platform", "app.kubernetes.io/name": "other"}
    for one in objects({"commonLabels": labels, "podLabels": {"pod": "yes"}}):
        assert one["metadata"]["labels"]["team"] == "platform"
        assert one["metadata"]["labels"]["app.kubernetes.io/name"] == "kube-headroom"


def test_services_find_the_pod_whatever_labels_it_is_given():
    rendered = objects({"podLabels": {"app.kubernetes.io/instance": "other"}}, release="guard")
    labels = only("Deployment", rendered)["spec"]["template"]["metadata"]["labels"]
    services = [one for one in rendered if one["kind"] == "Service"]
    assert [one["metadata"]["name"] for one in services] == [
        "guard-kube-headroom",
        "guard-kube-headroom-metrics",
    ]
    for service in services:
        assert service["spec"]["selector"].items() <= labels.items()


def test_names_stay_within_what_a_service_may_be_called():
    services = [one for one in objects({"fullnameOverride": "x" * 80}) if one["kind"] == "Service"]
    assert [len(one["metadata"]["name"]) for one in services] == [55, 63]


def test_the_quota_for_critical_pods_follows_the_priority_class():
    assert only("ResourceQuota", objects())["spec"]["scopeSelector"]["matchExpressions"] == [
        {"scopeName": "PriorityClass", "operator": "In", "values": ["system-cluster-critical"]}
    ]
    for values in ({"priorityClassName": ""}, {"criticalPodsQuota": {"enabled": False}}):
        assert not [one for one in objects(values) if one["kind"] == "ResourceQuota"]


def test_tests_get_the_charts_own_rules_with_another_address(webhooks):
    configuration = rendered_webhooks(
        "https://127.0.0.1:1/validate", CA.encode(), only_namespaces=["a"]
    )
    for webhook in configuration["webhooks"]:
        original = webhooks[webhook["name"]]
        assert webhook["matchConditions"] == original["matchConditions"]
        assert webhook["rules"] == original["rules"]
        assert webhook["clientConfig"]["url"] == "https://127.0.0.1:1/validate"


def test_the_policy_config_map_is_where_the_rules_look_for_it():
    metadata = policy_config_map(namespace="guard")["metadata"]
    assert (metadata["namespace"], metadata["name"]) == ("guard", "kube-headroom-policy")


def test_a_shared_ledger_comes_with_its_flag_and_its_rights_and_no_others(rendered):
    assert settings_of(rendered).ledger_configmap == ""
    assert "update" not in rights_on_config_maps(rendered)
    shared = objects({"ledger": {"shared": True}})
    assert settings_of(shared).ledger_configmap == "kube-headroom-ledger"
    rights = rights_on_config_maps(shared)
    assert rights["update"] == ["kube-headroom-ledger"]
    assert set(rights) == {"get", "list", "watch", "update", "create"}


def rights_on_config_maps(rendered) -> dict[str, list[str]]:
    """Return by verb the names of the ConfigMaps it is allowed on; none where all are meant."""
    rights: dict[str, list[str]] = {}
    for rule in only("Role", rendered)["rules"]:
        for verb in rule["verbs"] if rule["resources"] == ["configmaps"] else ():
            rights.setdefault(verb, []).extend(rule.get("resourceNames", []))
    return rights
