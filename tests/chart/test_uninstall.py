"""`helm uninstall` on a real API server."""

from __future__ import annotations

import pytest

from tests.chart.release import Release, install, remove
from tests.controlplane.waiting import wait_until

pytestmark = pytest.mark.controlplane


def test_uninstalling_leaves_nothing_behind(control_plane):
    release = install(control_plane, "second")
    assert len(_remains(release)) > 10, "what is looked for is found while it is there"
    remove(release)
    wait_until(lambda: not _remains(release), 90, "everything of the release to be gone")
    control_plane.kubectl("delete", "namespace", release.namespace, "--wait=false")


def _remains(release: Release) -> list[str]:
    """Everything of the release that exists: by label, by name, and helm's own notes."""
    cluster = release.cluster
    kinds = cluster.kubectl("api-resources", "--verbs=list,delete", "-o", "name").stdout.split()
    labelled = cluster.kubectl(
        "get",
        ",".join(kind for kind in kinds if not kind.startswith("events")),
        "--all-namespaces",
        "--selector",
        f"app.kubernetes.io/instance={release.name}",
        "-o",
        "name",
    ).stdout.split()
    notes = cluster.kubectl(
        "get", "secrets", "-n", release.namespace, "-l", f"name={release.name}", "-o", "name"
    ).stdout.split()
    return labelled + notes
