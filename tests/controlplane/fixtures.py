"""The pytest fixture for one control plane shared by a whole test session.

Skipping is honest on a laptop without Go or network; under `CI=true` it would hide the proof, so
there it is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NoReturn

import pytest

from tests.controlplane.build import Binaries, BuildError, obtain
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.toolchain import GoMissingError


@pytest.fixture(scope="session")
def control_plane_binaries(request: pytest.FixtureRequest) -> Binaries:
    """The control plane's programs, built now if need be: then pytest shows the progress."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    try:
        with capture.global_and_fixture_disabled():
            return obtain()
    except (GoMissingError, BuildError) as error:
        cannot_run(f"NO CONTROL PLANE, so nothing here is proven: {error}")


@pytest.fixture(scope="session")
def control_plane(control_plane_binaries: Binaries) -> Iterator[ControlPlane]:
    """A control plane with three nodes of 4 CPUs, 7957Mi, and 110 pods."""
    with ControlPlane(binaries=control_plane_binaries) as cluster:
        cluster.add_nodes(3)
        yield cluster


def cannot_run(reason: str) -> NoReturn:
    """Skip with the reason; fail under CI, where a skipped proof must not look like success."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
