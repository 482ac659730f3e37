"""Fixtures that every tier shares, and the switch between the short and the long forms."""

import pytest

from tests.controlplane.fixtures import control_plane, control_plane_binaries

__all__ = ["control_plane", "control_plane_binaries"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the long forms of the tests")


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether the long forms were asked for."""
    return bool(request.config.getoption("--soak"))
