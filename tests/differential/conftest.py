"""The fixture that has Kubernetes' answers ready."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pytest

from tests.controlplane.toolchain import GoMissingError
from tests.differential.upstream import ask, obtain

Ask = Callable[[Sequence[Mapping[str, Any]]], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def ask_upstream(request: pytest.FixtureRequest) -> Ask:
    """A function from questions to the answers of Kubernetes' own code."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    try:
        return partial(ask, obtain())
    except (GoMissingError, subprocess.CalledProcessError) as error:
        said = error.stderr if isinstance(error, subprocess.CalledProcessError) else error
        reason = f"NO GO PROGRAM, so nothing here is proven: {said}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
