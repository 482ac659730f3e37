"""The image holds the program and nothing of the machine or the build."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.node.image import MOUNTED_AUTHORITY

pytestmark = pytest.mark.node

# Debian's python3 makes up 150 MB of it, and the official base is smaller than the stand-in.
LARGEST_MEGABYTES = 420


@pytest.fixture(scope="module")
def config(image_archive: Path) -> dict[str, Any]:
    """The image's configuration."""
    with tarfile.open(image_archive) as archive:
        return dict(read(archive, read(archive, "manifest.json")[0]["Config"])["config"])


@pytest.fixture(scope="module")
def files(image_archive: Path) -> dict[str, tarfile.TarInfo]:
    """Every file of every layer by its name."""
    found = {}
    with tarfile.open(image_archive) as archive:
        for layer in read(archive, "manifest.json")[0]["Layers"]:
            packed = archive.extractfile(layer)
            assert packed is not None
            with tarfile.open(fileobj=packed) as members:
                found.update({one.name.removeprefix("./").rstrip("/"): one for one in members})
    return found


def read(archive: tarfile.TarFile, name: str) -> Any:
    member = archive.extractfile(name)
    assert member is not None
    return json.load(io.TextIOWrapper(member))


def test_it_starts_the_server_as_nobody_in_particular(config: dict[str, Any]) -> None:
    """`serve` by default, as a number that runAsNonRoot can verify."""
    assert config["Entrypoint"] == ["kube-headroom"]
    assert config["Cmd"] == ["serve"]
    assert config["User"] == "65532:65532"
    assert set(config["ExposedPorts"]) == {"8443/tcp", "8080/tcp"}


def test_nothing_of_the_machine_or_the_build_is_in_it(
    config: dict[str, Any], files: dict[str, tarfile.TarInfo]
) -> None:
    """No authority, cache, name, or address of where it was built; no uv; no source tree."""
    assert not [one for one in config["Env"] if one.startswith(("SSL_", "UV_", "PIP_"))]
    traces = ("etc/hostname", "etc/resolv.conf", "usr/local/bin/uv", "build/app", "root/.cache")
    for trace in (MOUNTED_AUTHORITY.lstrip("/"), *traces):
        assert trace not in files or files[trace].size == 0, trace


def test_any_user_can_read_the_program_and_none_but_root_change_it(
    files: dict[str, tarfile.TarInfo],
) -> None:
    """So it runs under any uid, with its bytecode compiled ahead."""
    ours = {name: one for name, one in files.items() if name.startswith("opt/kube-headroom/")}
    assert any(name.endswith(".pyc") and "/kube_headroom/" in name for name in ours)
    for name, one in ours.items():
        assert one.issym() or one.mode & 0o024 == 0o004, f"{name}: {one.mode:o}"
        assert one.uid == 0, name


def test_its_size_is_bounded(image_archive: Path) -> None:
    """Uncompressed, with the stand-in of its base."""
    megabytes = image_archive.stat().st_size / 1e6
    print(f"image: {megabytes:.0f} MB uncompressed")
    assert megabytes < LARGEST_MEGABYTES
