"""The webhook's own comparison, asked for from outside as an operator would: by SIGUSR1."""

from __future__ import annotations

import os
import signal
from typing import Any

from tests.controlplane.waiting import wait_until
from tests.e2e.webhook import WebhookProcess


def assert_book_is_exact(webhook: WebhookProcess) -> None:
    """Fail unless the book is what fresh lists say and every sum adds up; takes a few seconds."""
    line = compared(webhook)
    assert line["message"] == "comparison: exact", line


def compared(webhook: WebhookProcess) -> dict[str, Any]:
    """Ask for a comparison; return what it logs."""
    before = len(_comparisons(webhook))
    os.kill(webhook.program.pid, signal.SIGUSR1)

    def answered() -> dict[str, Any] | None:
        found = _comparisons(webhook)
        return found[before] if len(found) > before else None

    return wait_until(answered, 120, "the comparison in the log")


def _comparisons(webhook: WebhookProcess) -> list[dict[str, Any]]:
    return [line for line in webhook.logs() if line["logger"] == "kube_headroom.comparison"]
