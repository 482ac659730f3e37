"""Fixtures that every tier shares, and the switch between the short and the long forms."""

import pytest

from tests.controlplane.fixtures import control_plane, control_plane_binaries
from tests.node.fixtures import image_archive, node_programs, real_cluster

__all__ = [
    "control_plane",
    "control_plane_binaries",
    "image_archive",
    "node_programs",
    "real_cluster",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the long forms of the tests")


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether the long forms were asked for."""
    return bool(request.config.getoption("--soak"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, without a skip, what exists in the long form only."""
    if config.getoption("--soak"):
        return
    long = [item for item in items if item.get_closest_marker("soak")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]
