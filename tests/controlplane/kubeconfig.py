"""Writing kubeconfig files: how a program finds the API server and who it is there."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.controlplane.certificates import IssuedPair


def write_kubeconfig(path: Path, *, url: str, ca_file: Path, client: IssuedPair) -> Path:
    """Write a kubeconfig that refers to the certificate files by their full paths."""
    cluster = {"server": url, "certificate-authority": str(ca_file)}
    user = {"client-certificate": str(client.cert_path), "client-key": str(client.key_path)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": cluster}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "user"}}],
        "current-context": "tests",
    }
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path
