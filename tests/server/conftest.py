"""Server processes for the tests of this folder."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.server.process import FAKE_SERVICE, ServerProcess, Trust, make_trust

Start = Callable[..., ServerProcess]


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    return make_trust(tmp_path_factory.mktemp("trust"))


@pytest.fixture(scope="module")
def start(trust: Trust, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start a server around the fake reviewer; every one is gone when the module is done."""
    with ExitStack() as stack:

        def start_one(*flags: str, **environment: str) -> ServerProcess:
            folder: Path = tmp_path_factory.mktemp("server")
            command = [*FAKE_SERVICE, *trust.flags, *flags]
            return stack.enter_context(ServerProcess(command, folder, trust.client, environment))

        yield start_one


@pytest.fixture(scope="module")
def server(start: Start) -> ServerProcess:
    """One server for all tests of a module that do not change it."""
    return start("--receive-seconds=1", "--max-body-bytes=1048576", "--max-in-flight=4")
