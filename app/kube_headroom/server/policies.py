"""The policy in force, and where it comes from: the last good text that was seen.

A text that cannot be used changes nothing: it is counted, logged with all its faults, and said at
readiness only while there has been no good one yet.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from kube_headroom.errors import PolicyError
from kube_headroom.policy.load import load_policy, policy_hash
from kube_headroom.policy.model import Policy
from kube_headroom.server.logging import FIELDS

FILE_POLL_SECONDS = 2.0

_log = logging.getLogger("kube_headroom.policy")


class PolicyInForce:
    """Hands each good policy to whoever decides by it."""

    def __init__(
        self,
        put_in_force: Callable[[Policy], None],
        rejected: Callable[[], None],
        *,
        source: str,
    ) -> None:
        self.hash = ""
        self.missing: str | None = f"no policy read yet from {source}"
        self._put_in_force = put_in_force
        self._rejected = rejected
        self._source = source

    def use(self, policy: Policy) -> None:
        """Put a policy in force."""
        self._put_in_force(policy)
        self.hash, self.missing = policy_hash(policy), None
        _log.info("policy in force", extra={FIELDS: {"source": self._source, "hash": self.hash}})

    def on_text(self, text: str | None, resource_version: str) -> None:
        """The text as it stands now; None when there is none."""
        if text is None:
            self._refuse((f"{self._source} is not there",), resource_version)
            return
        try:
            policy = load_policy(text)
        except PolicyError as error:
            self._refuse(error.faults, resource_version)
        else:
            self.use(policy)

    def _refuse(self, faults: tuple[str, ...], resource_version: str) -> None:
        self._rejected()
        if self.missing is not None:
            self.missing = f"no valid policy: {faults[0]}"
        fields = {
            "source": self._source,
            "resource_version": resource_version,
            "faults": list(faults),
            "in_force": self.hash,
        }
        _log.error("unusable policy", extra={FIELDS: fields})


async def follow_file(path: Path, read: str, policy: PolicyInForce) -> None:
    """Look at the file again and again; `read` is what was read at the start."""
    while True:
        await asyncio.sleep(FILE_POLL_SECONDS)
        text = await asyncio.to_thread(read_policy_file, path)
        if text is not None and text != read:
            read = text
            policy.on_text(text, "")


def read_policy_file(path: Path) -> str | None:
    """The file's text; None while it cannot be read, as between two versions of a mount."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
