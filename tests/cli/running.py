"""The real command in a real process."""

import os
import subprocess
import sys
from pathlib import Path

COMMAND = Path(sys.executable).with_name("kube-headroom")
DEADLINE_SECONDS = 60


def run(*arguments, stdin=b"", command=COMMAND, env=None):
    """Run the command to its end."""
    return subprocess.run(
        [command, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=DEADLINE_SECONDS,
        env={**os.environ, **(env or {})},
    )
