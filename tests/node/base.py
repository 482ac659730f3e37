"""A stand-in for the image's base, made of Debian's packages where no image registry is reached.

It holds what the Dockerfile asks of a base: glibc, `python3` >= 3.11 and certificate authorities.
Made once (about 60 s) and kept in the buildah store of the user's cache.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.node.build import cache_home
from tests.node.buildah import buildah, has_image, run

SUITE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
INCLUDED = "python3,ca-certificates"

# The tag names the recipe: raise it when the recipe changes.
NAME = f"localhost/kube-headroom-base:{SUITE}-1"

# What debootstrap copies from the machine it runs on, and what only costs room.
LEFT_OUT = (
    "etc/resolv.conf",
    "etc/hostname",
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
)


def ensure_base() -> str:
    """Return the name of the base image, making it when the store has none."""
    if not has_image(NAME):
        cache_home().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".base-", dir=cache_home()) as scratch:
            _make(Path(scratch) / "root")
    return NAME


def _make(root: Path) -> None:
    run("debootstrap", "--variant=minbase", f"--include={INCLUDED}", SUITE, root, MIRROR)
    for name in LEFT_OUT:
        _remove(root / name)
    container = buildah("from", "scratch").strip()
    try:
        buildah("add", "-q", container, root, "/")
        buildah("config", "--env", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", container)
        buildah("commit", "-q", "--disable-compression", container, NAME)
    finally:
        buildah("rm", container)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
