"""Debian's packages that the node needs and a test machine may lack.

Separate because it is the one place that changes the machine: only as root, only by apt-get.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

# The command that shows a package is there, then the package.
NODE_PACKAGES: Mapping[str, str] = {
    "runc": "runc",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "mount": "mount",
}
IMAGE_PACKAGES: Mapping[str, str] = {"buildah": "buildah", "debootstrap": "debootstrap"}

INSTALL_TIMEOUT_SECONDS = 600


class NodeMissingError(RuntimeError):
    """This machine cannot run a real node; the message says what it lacks."""


def require(packages: Mapping[str, str]) -> None:
    """Install what is missing of these packages, or raise NodeMissingError with the reason."""
    if os.geteuid() != 0:
        raise NodeMissingError("a real node needs root: namespaces, mounts and cgroups")
    missing = sorted({package for command, package in packages.items() if not _has(command)})
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise NodeMissingError(f"please install {', '.join(missing)}: there is no apt-get here")
    print(f"installing {', '.join(missing)} with apt-get", file=sys.stderr, flush=True)
    _apt_get("update", "-q")
    _apt_get("install", "-q", "-y", "--no-install-recommends", *missing)


def environment() -> dict[str, str]:
    """Return this process's environment with the administrator's programs on PATH."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    return {**os.environ, "PATH": path}


def _has(command: str) -> bool:
    return shutil.which(command, path=environment()["PATH"]) is not None


def _apt_get(*arguments: str) -> None:
    done = subprocess.run(
        ["apt-get", *arguments],
        env={**environment(), "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_TIMEOUT_SECONDS,
    )
    if done.returncode != 0:
        raise NodeMissingError(f"apt-get {' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
