"""Who the webhook's process is in these tests: the chart's ServiceAccount, with no right beyond it."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.chart.render import Object
from tests.controlplane.cluster import ControlPlane

RIGHTS = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")


def rights_of(rendered: list[Object], withheld: frozenset[str]) -> list[Object]:
    """Return the account and what it may do, out of the chart's objects, less some resources."""
    rights = [one for one in rendered if one["kind"] in RIGHTS]
    for one in rights:
        for rule in one.get("rules", ()):
            rule["resources"] = [each for each in rule["resources"] if each not in withheld]
    return rights


def kubeconfig_of_account(cluster: ControlPlane, name: str, namespace: str, path: Path) -> Path:
    """Write a kubeconfig that is the ServiceAccount, by a token as a pod would hold it."""
    token = cluster.kubectl("create", "token", name, "-n", namespace, "--duration=2h").stdout
    server = {"server": cluster.url, "certificate-authority": str(cluster.ca_file)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": server}],
        "users": [{"name": name, "user": {"token": token.strip()}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": name}}],
        "current-context": "tests",
    }
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path
