"""How large the ledger gets, how often it is written, and how much of it one namespace gets."""

from __future__ import annotations

import asyncio
from collections import Counter

from kube_headroom.admission.committer import Patience
from kube_headroom.admission.ledger_limits import LedgerLimits
from tests.ledger.committing import expire, prove, servers
from tests.ledger.virtual_time import run


def test_a_full_ledger_is_no_refusal_and_is_counted() -> None:
    async def main() -> None:
        limits = LedgerLimits(max_bytes=4000, namespace_share=1.0)
        async with servers(1, room=1000, limits=limits) as (store, (server,)):
            answers = [await server.ask(f"u{n}") for n in range(50)]
            kinds = Counter(answers)
            assert set(kinds) == {"allowed", "unavailable"}
            assert kinds["allowed"] == len(store.document.rows) > 10
            assert server.committer.figures.full == kinds["unavailable"]
            assert len(store.cluster.ledger.text) <= 4000

    run(main())


def test_one_namespace_gets_half_of_it() -> None:
    async def main() -> None:
        limits = LedgerLimits(max_bytes=8000)
        async with servers(1, room=1000, limits=limits) as (store, (server,)):
            answers = [await server.ask(f"u{n}") for n in range(80)]
            assert answers.count("unavailable") > 30
            assert len(store.cluster.ledger.text) <= 4600

    run(main())


def test_large_and_often_do_not_go_together() -> None:
    """All replicas together write no more than the pace allows, whoever writes."""

    async def main() -> None:
        limits = LedgerLimits(bytes_per_second=10_000)
        patience = Patience(share_of_timeout=1.0)
        async with servers(3, room=1000, limits=limits, patience=patience) as (store, all_three):
            written, write_now = [], store.write_now

            def noted(text, on):
                version = write_now(text, on)
                written.append(len(text))
                return version

            store.write_now = noted
            loop = asyncio.get_running_loop()
            until = loop.time() + 20
            number = 0
            while loop.time() < until:
                number += 1
                await all_three[number % 3].ask(f"u{number}")
            # The last one is not waited for, and news needs a moment.
            assert sum(written[:-1]) <= 20 * 10_000 * 1.3

    run(main())


def test_a_namespace_whose_promises_keep_failing_gets_32_at_a_time() -> None:
    async def main() -> None:
        async with servers(1, room=1000) as (_, (server,)):
            first = [await server.ask(f"u{n}") for n in range(40)]
            assert first == ["allowed"] * 40
            await asyncio.sleep(76)
            prove(server)
            expire(server)
            again = [await server.ask(f"v{n}") for n in range(40)]
            assert Counter(again) == {"allowed": 32, "unavailable": 8}

    run(main())
