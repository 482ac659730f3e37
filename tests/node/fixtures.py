"""The pytest fixtures for the one real cluster and the one image of a test session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.controlplane.build import Binaries, BuildError
from tests.controlplane.fixtures import cannot_run
from tests.controlplane.toolchain import GoMissingError
from tests.node import build, image
from tests.node.cluster import RealCluster
from tests.node.cluster import real_cluster as start_real_cluster
from tests.node.packages import NODE_PACKAGES, NodeMissingError, require


@pytest.fixture(scope="session")
def node_programs(control_plane_binaries: Binaries, request: pytest.FixtureRequest) -> Path:
    """The node's programs and packages, made now if need be: then pytest shows the progress."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    try:
        with capture.global_and_fixture_disabled():
            require(NODE_PACKAGES)
            return build.obtain()
    except (GoMissingError, BuildError, NodeMissingError) as error:
        cannot_run(f"NO REAL NODE, so nothing here is proven: {error}")


@pytest.fixture(scope="session")
def image_archive(node_programs: Path, request: pytest.FixtureRequest) -> Path:
    """Our image as a file, made now if the checkout changed."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    try:
        with capture.global_and_fixture_disabled():
            return image.obtain()
    except (BuildError, NodeMissingError) as error:
        cannot_run(f"NO IMAGE, so nothing here is proven: {error}")


@pytest.fixture(scope="session")
def real_cluster(node_programs: Path, image_archive: Path) -> Iterator[RealCluster]:
    """A control plane, a real node that has our image, and two kwok nodes."""
    with ExitStack() as stack:
        try:
            cluster = stack.enter_context(start_real_cluster())
        except NodeMissingError as error:
            cannot_run(f"NO REAL NODE, so nothing here is proven: {error}")
        cluster.node.import_image(image_archive)
        yield cluster
