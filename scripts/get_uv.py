"""Fetch uv itself, so that a machine with nothing but Python and make can install the project.

The wheel's address and hash come from uv.lock: what is not locked is not run. Needs no pip and no venv.
Usage: python3 scripts/get_uv.py DESTINATION
"""

import hashlib
import io
import platform
import sys
import tomllib
import urllib.request
import zipfile
from pathlib import Path

LOCK = Path(__file__).parents[1] / "uv.lock"


def wheel_for_this_machine() -> tuple[str, str]:
    """Return the address and the SHA-256 of uv's locked wheel for this machine."""
    packages = tomllib.loads(LOCK.read_text())["package"]
    wheels = next(package["wheels"] for package in packages if package["name"] == "uv")
    libc = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    for wheel in wheels:
        name = wheel["url"].rpartition("/")[2]
        if libc in name and name.endswith(f"_{platform.machine()}.whl"):
            return wheel["url"], wheel["hash"].removeprefix("sha256:")
    sys.exit(f"uv has no {libc} wheel for {platform.machine()}; install uv by hand and retry")


def main(destination: Path) -> None:
    """Write the verified uv program to the destination."""
    url, sha256 = wheel_for_this_machine()
    with urllib.request.urlopen(url, timeout=120) as response:
        wheel = response.read()
    if hashlib.sha256(wheel).hexdigest() != sha256:
        sys.exit(f"{url} does not have the hash in uv.lock; refusing to run it")
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        program = next(name for name in archive.namelist() if name.endswith("/scripts/uv"))
        destination.parent.mkdir(parents=True, exist_ok=True)
        partial = destination.with_suffix(".partial")
        partial.write_bytes(archive.read(program))
    partial.chmod(0o755)
    partial.replace(destination)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
