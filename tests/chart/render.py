"""The chart as real helm renders it, for every test that wants the rules as they are installed.

`webhook_configuration` keeps the chart's rules, selectors and matchConditions and changes only
where the API server calls: a process on loopback instead of a Service.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.controlplane.build import obtain

CHART = Path(__file__).parents[2] / "charts" / "kube-headroom"
NAMESPACE = "kube-headroom"
RELEASE = "kube-headroom"

Object = dict[str, Any]
Values = Mapping[str, Any]


class RenderError(AssertionError):
    """Helm would not render; the message is what it said."""


def helm(*arguments: str | Path, values: Values | None = None) -> str:
    """Run helm without a cluster and return what it printed."""
    command = [obtain().programs["helm"], *arguments, *(["-f", "-"] if values else [])]
    done = subprocess.run(
        command, input=json.dumps(values or {}), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RenderError(done.stderr + done.stdout)
    return done.stdout


def template(
    values: Values | None = None, *, namespace: str = NAMESPACE, release: str = RELEASE
) -> str:
    """Return the chart's manifests as text, the way Argo CD renders them."""
    return helm("template", release, CHART, "--namespace", namespace, values=values)


def objects(
    values: Values | None = None, *, namespace: str = NAMESPACE, release: str = RELEASE
) -> list[Object]:
    """Return the chart's objects."""
    text = template(values, namespace=namespace, release=release)
    return [document for document in yaml.safe_load_all(text) if document is not None]


def only(kind: str, rendered: Sequence[Object], name: str | None = None) -> Object:
    """Return the one object of a kind (and name)."""
    found = [
        one for one in rendered if one["kind"] == kind and name in (None, one["metadata"]["name"])
    ]
    assert len(found) == 1, f"{len(found)} objects of kind {kind}, name {name or 'any'}"
    return found[0]


def webhook_configuration(
    url: str,
    ca_pem: bytes,
    *,
    namespace: str = NAMESPACE,
    release: str = RELEASE,
    only_namespaces: Sequence[str] = (),
    **helm_values: Any,
) -> Object:
    """Return the chart's webhook configuration, calling `url` (all of it, with /validate).

    `namespace` is where the chart would be installed: never judged, but for its policy ConfigMap.
    `only_namespaces` lets several tests share a cluster: the workloads of no other are judged.
    """
    configuration = only(
        "ValidatingWebhookConfiguration",
        objects(helm_values, namespace=namespace, release=release),
    )
    bundle = base64.b64encode(ca_pem).decode()
    for webhook in configuration["webhooks"]:
        webhook["clientConfig"] = {"url": url, "caBundle": bundle}
    if only_namespaces:
        selector = configuration["webhooks"][0]["namespaceSelector"]
        selector["matchExpressions"].append(
            {
                "key": "kubernetes.io/metadata.name",
                "operator": "In",
                "values": list(only_namespaces),
            }
        )
    return configuration


def policy_config_map(
    policy: Values | None = None, *, namespace: str = NAMESPACE, release: str = RELEASE
) -> Object:
    """Return the policy ConfigMap, `policy` merged into the chart's defaults as Helm merges it."""
    values = {"policy": policy} if policy else None
    return only("ConfigMap", objects(values, namespace=namespace, release=release))
