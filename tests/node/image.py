"""Our image as a file, built from the Dockerfile of this checkout.

`python -m tests.node.image` prints the path of a docker-archive, cached under a hash of everything
that goes into it. Nothing of the machine may land in it: an authority of the machine's own
(SSL_CERT_FILE) is mounted while building only.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from tests.node import base
from tests.node.build import cache_home
from tests.node.buildah import buildah
from tests.node.packages import IMAGE_PACKAGES, require

ROOT = Path(__file__).parents[2]
INGREDIENTS = (
    *("Dockerfile", ".dockerignore", "pyproject.toml", "uv.lock"),
    *("README.md", "LICENSE", "scripts/get_uv.py"),
)

# What pods name; imagePullPolicy Never or IfNotPresent keeps the kubelet from looking elsewhere.
REPOSITORY = "localhost/kube-headroom"
TAG = "test"
NAME = f"{REPOSITORY}:{TAG}"

# Where the machine's authority is mounted while building.
MOUNTED_AUTHORITY = "/build-ca.crt"


def obtain(out: TextIO = sys.stderr) -> Path:
    """Return the docker-archive of this checkout's image, building it when it is not cached.

    Raises NodeMissingError or BuildError.
    """
    archive = cache_home() / f"image-{_digest()}.tar"
    if archive.exists():
        return archive
    require(IMAGE_PACKAGES)
    cache_home().mkdir(parents=True, exist_ok=True)
    with (cache_home() / ".image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.exists():
            _build(archive, out)
    return archive


def _build(archive: Path, out: TextIO) -> None:
    started = time.monotonic()
    print("making the image's base, unless it is there (60 s, once) ...", file=out, flush=True)
    base_name = base.ensure_base()
    print("making the image from the Dockerfile (30 s) ...", file=out, flush=True)
    buildah(
        *("bud", "-q", "--pull-never", "--build-arg", f"BASE_IMAGE={base_name}"),
        *("--build-arg", f"VERSION={_version()}", *_mounts(), "-t", NAME, "."),
        cwd=ROOT,
    )
    _export(archive)
    size = archive.stat().st_size / 1e6
    seconds = time.monotonic() - started
    print(f"image of {size:.0f} MB made in {seconds:.0f} s: {archive}", file=out, flush=True)


def _export(archive: Path) -> None:
    """Move the image out of the store into its file; older files of this cache go."""
    older = tuple(cache_home().glob("image-*.tar"))
    with tempfile.TemporaryDirectory(prefix=".image-", dir=cache_home()) as scratch:
        unfinished = Path(scratch) / "image.tar"
        buildah("push", "-q", NAME, f"docker-archive:{unfinished}:{NAME}")
        unfinished.replace(archive)
    buildah("rmi", NAME)
    for path in older:
        path.unlink(missing_ok=True)


def _mounts() -> list[str]:
    """Return what is lent to the build: a cache for downloads and the machine's authority."""
    downloads = cache_home() / "uv"
    downloads.mkdir(exist_ok=True)
    mounts = ["--volume", f"{downloads}:/root/.cache/uv"]
    authority = os.environ.get("SSL_CERT_FILE")
    if authority and Path(authority).is_file():
        mounts += ["--volume", f"{authority}:{MOUNTED_AUTHORITY}:ro"]
        mounts += ["--build-arg", f"SSL_CERT_FILE={MOUNTED_AUTHORITY}"]
    return mounts


def _digest() -> str:
    digest = hashlib.sha256(f"{base.NAME} {NAME}".encode())
    for path in _ingredients():
        digest.update(f"{path.relative_to(ROOT)}\0{path.stat().st_mode & 0o111}\0".encode())
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _ingredients() -> Iterator[Path]:
    yield from (ROOT / name for name in INGREDIENTS)
    for path in sorted((ROOT / "app").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


def _version() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["version"])


if __name__ == "__main__":
    print(obtain())
