"""Building: once, resumable, visible, and clear about what is missing.

The stand-in for `go` writes small files instead of compiling for minutes; that the true one builds
these packages is shown by every test that starts a control plane.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from pathlib import Path

import pytest

from tests.controlplane import build
from tests.controlplane.toolchain import GoMissingError, find_go

FAKE_GO = """#!/bin/sh
here=$(dirname "$0")
case $1 in
version) echo "go version go1.27.3 linux/amd64" ;;
list) echo "$here/kwok" ;;
build)
  echo x >>"$here/builds"
  for last; do :; done
  case $last in *"$(cat "$here/broken")") echo "undefined: x"; exit 1 ;; esac
  while [ "$1" != -o ]; do shift; done
  echo "$last" >"$2" ;;
esac
"""


@pytest.fixture
def toolchain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a stand-in `go` beside the Python interpreter, and an empty cache."""
    folder = tmp_path / "bin"
    for stage in build.STAGES:
        path = folder / "kwok" / "kustomize" / "stage" / stage
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(stage)
    (folder / "go").write_text(FAKE_GO)
    (folder / "go").chmod(0o755)
    (folder / "broken").write_text("nothing")
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return folder


def builds(toolchain: Path) -> int:
    return len((toolchain / "builds").read_text().split())


def test_everything_is_built_once_with_a_line_for_each_program(toolchain: Path) -> None:
    """The first run says what it builds; the second has nothing to do and says nothing."""
    first, second = io.StringIO(), io.StringIO()
    binaries = build.obtain(first)
    assert build.obtain(second) == binaries
    assert "[2/8] building kube-apiserver ...\n[2/8] kube-apiserver built in" in first.getvalue()
    assert second.getvalue() == ""
    assert builds(toolchain) == len(build.TOOLS)
    assert all(path.exists() for path in (*binaries.programs.values(), *binaries.stages))


def test_a_failed_build_shows_gos_words_and_keeps_what_was_done(toolchain: Path) -> None:
    """After a failure the next run builds only what is still missing."""
    (toolchain / "broken").write_text("/kubectl")
    with pytest.raises(build.BuildError, match="undefined: x"):
        build.obtain(io.StringIO())
    assert not (build.cache_dir() / "kubectl").exists()
    (toolchain / "broken").write_text("nothing")
    out = io.StringIO()
    build.obtain(out)
    assert "[1/4] building kubectl" in out.getvalue()


def test_two_runs_at_once_build_once(toolchain: Path) -> None:
    """The second waits for the first and then finds everything done."""
    runs = [threading.Thread(target=build.obtain, args=(io.StringIO(),)) for _ in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert builds(toolchain) == len(build.TOOLS)


def test_given_programs_are_used_and_the_others_built(
    toolchain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KUBEBUILDER_ASSETS overrides program by program, once it holds an API server."""
    given = tmp_path / "assets"
    given.mkdir()
    (given / "etcd").touch()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(given))
    assert build.obtain(io.StringIO()).programs["etcd"] == build.cache_dir() / "etcd"
    (given / "kube-apiserver").touch()
    programs = build.obtain(io.StringIO()).programs
    assert programs["etcd"] == given / "etcd"
    assert programs["kubectl"] == build.cache_dir() / "kubectl"


@pytest.mark.parametrize("version", ["go1.25.9", "nonsense"])
def test_without_a_usable_go_the_message_says_what_to_do(
    toolchain: Path, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old or broken Go is named, and so is the way to a right one."""
    (toolchain / "go").write_text(f"#!/bin/sh\necho go version {version} linux/amd64\n")
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(GoMissingError, match=r"bin/go is too old or does not run.*make install"):
        find_go()
