"""The committer over a store that fails: what users see, and what is written."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from kube_headroom.admission.committer import Patience
from kube_headroom.admission.ledger_limits import LedgerLimits
from kube_headroom.capacity.ledger_document import Document, decode, encode
from tests.ledger.cluster import made
from tests.ledger.committing import (
    Server,
    beaten,
    lost_answer,
    lost_question,
    servers,
)
from tests.ledger.virtual_time import run


def test_200_who_wait_are_written_in_few_groups() -> None:
    """Exactly as many as there is room for are allowed, and nobody is told of a conflict."""

    async def main() -> None:
        async with servers(1, room=150) as (store, (server,)):
            answers = await asyncio.gather(*(server.ask(f"u{n}") for n in range(200)))
            assert Counter(answers) == {"allowed": 150, "refused": 50}
            assert store.writes <= 3
            assert len(store.document.rows) == 150

    run(main())


def test_three_replicas_promise_no_more_than_one() -> None:
    async def main() -> None:
        async with servers(3, room=100) as (store, all_three):
            answers = await asyncio.gather(*(all_three[n % 3].ask(f"u{n}") for n in range(300)))
            assert Counter(answers) == {"allowed": 100, "refused": 200}
            assert len(store.document.rows) == 100
            assert store.writes <= 10
            assert sum(each.committer.figures.conflicts for each in all_three) > 0

    run(main())


def test_a_lost_race_is_judged_again_and_nobody_notices() -> None:
    async def main() -> None:
        async with servers(1, room=1) as (store, (server,)):
            store.faults = [beaten, beaten, beaten]
            assert await server.ask("u1") == "allowed"
            assert server.committer.figures.conflicts == 3
            assert await server.ask("u2") == "refused"

    run(main())


@pytest.mark.parametrize(
    ("fault", "answer", "rows"), [(lost_answer, "allowed", 1), (lost_question, "unavailable", 0)]
)
def test_a_write_without_an_answer_is_looked_for(fault, answer: str, rows: int) -> None:
    async def main() -> None:
        async with servers(1) as (store, (server,)):
            store.faults = [fault]
            assert await server.ask("u1") == answer
            assert len(store.document.rows) == rows
            assert await server.ask("u1") == "allowed"
            assert await server.ask("u2", 99) == "allowed"
            assert await server.ask("u3") == "refused"

    run(main())


def test_our_own_late_answer_does_not_promise_twice() -> None:
    """The write took longer than the caller waits; the API server's own retry finds its promise."""

    async def main() -> None:
        async with servers(1, room=1) as (store, (server,)):
            store.seconds = 3.0
            assert await server.ask("u1") == "unavailable"
            await asyncio.sleep(10)
            writes = store.writes
            store.seconds = 0.004
            assert await server.ask("u1") == "allowed"
            assert store.writes == writes

    run(main())


def test_a_store_that_is_down_costs_two_fifths_of_the_callers_patience_at_most() -> None:
    async def main() -> None:
        async with servers(1) as (store, (server,)):
            store.is_down = True
            store.seconds = 60.0
            started = asyncio.get_running_loop().time()
            assert await server.ask("u1", seconds=5) == "unavailable"
            assert asyncio.get_running_loop().time() - started <= 2.01

    run(main())


def test_nobody_is_judged_on_a_view_that_is_behind() -> None:
    """The second replica waits for the object that let the first drop its row; 1 s, then 503."""

    async def main() -> None:
        async with servers(2, room=2) as (store, (first, second)):
            assert await first.ask("u1", 2) == "allowed"
            store.cluster.put("deployments", made("deployments", "u1", 2))
            first.follower.deliver("deployments")
            await asyncio.sleep(20)
            assert store.document.rows == {}
            started = asyncio.get_running_loop().time()
            assert await second.ask("u2") == "unavailable"
            assert asyncio.get_running_loop().time() - started == pytest.approx(1.0, abs=0.05)
            assert second.committer.lagging() == ("deployments",)
            waiting = asyncio.create_task(second.ask("u2"))
            await asyncio.sleep(0.3)
            second.follower.deliver("deployments")
            assert await waiting == "refused"

    run(main())


def test_settled_rows_are_swept_by_any_replica() -> None:
    async def main() -> None:
        async with servers(2, room=2) as (store, (first, second)):
            assert await first.ask("u1", 2) == "allowed"
            await first.stop()
            store.cluster.put("deployments", made("deployments", "u1", 2))
            second.follower.deliver("deployments")
            await asyncio.sleep(10)
            assert store.document.rows == {}
            assert store.writes == 2

    run(main())


def deleted(store) -> None:
    store.delete()


def mangled(store) -> None:
    assert store.cluster.ledger is not None
    store.cluster.write_ledger("{not: json", store.cluster.ledger)
    store.tell()


def replaced(store) -> None:
    """As `kubectl replace --force` does: another object, without any row."""
    store.cluster.create_ledger(encode(Document()).text)
    store.tell()


@pytest.mark.parametrize("lose", [deleted, mangled, replaced])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_lost_ledger_closes_the_gate_until_the_loss_is_proven_harmless(
    lose, restarted: bool
) -> None:
    """Also for a replica that starts in between, which has never seen what was lost."""

    async def main() -> None:
        async with servers(2, room=2) as (store, (first, second)):
            assert await first.ask("u1", 2) == "allowed"
            lose(store)
            await asyncio.sleep(1)
            assert store.document.gap
            asked = Server(store) if restarted else second
            await asyncio.sleep(0.5)
            assert await asked.ask("u2") == "unavailable"
            store.cluster.put("deployments", made("deployments", "u1", 2))
            await asyncio.sleep(80)
            assert await asked.ask("u2") == "unavailable"
            for server in {first, second, asked}:
                prove(server)
                server.follower.deliver("deployments")
                expire(server)
            await asyncio.sleep(10)
            assert store.document.gap == ""
            assert await asked.ask("u2") == "refused"
            if restarted:
                await asked.stop()

    run(main())


def prove(server: Server) -> None:
    ledger, now = server.follower.view.ledger, asyncio.get_running_loop().time()
    for resource in ledger.due(now):
        ledger.prove(resource, server.follower.cluster.version, now)


def expire(server: Server) -> None:
    view, cluster = server.follower.view, server.follower.cluster
    for resource in view.ledger.due(1e9) | set(view.resource_versions):
        if resource in server.follower.seen:
            server.follower.bookmark(resource)
        elif resource in view.resource_versions and resource != "policy":
            view.progress(resource, str(cluster.version), cluster.now)
    for resource, seen in view.resource_versions.items():
        view.ledger.expire(resource, seen)


def test_a_first_start_is_not_a_loss() -> None:
    async def main() -> None:
        async with servers(3) as (store, (first, *_)):
            assert store.document.gap == ""
            assert await first.ask("u1") == "allowed"

    run(main())


def test_a_newer_format_is_neither_judged_by_nor_overwritten() -> None:
    async def main() -> None:
        async with servers(1) as (store, (server,)):
            assert server.committer.missing is None
            text = '{"format": 2, "tables": []}'
            store.cluster.write_ledger(text, store.cluster.ledger)
            store.tell()
            assert await server.ask("u1") == "unavailable"
            assert "format 2" in (server.committer.missing or "")
            await asyncio.sleep(60)
            assert store.cluster.ledger.text == text
            store.cluster.write_ledger(encode(Document()).text, store.cluster.ledger)
            await asyncio.sleep(10)
            assert server.committer.missing is None
            assert await server.ask("u1") == "allowed"

    run(main())


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


def test_an_update_asked_for_again_later_is_written_anew() -> None:
    """Its row would otherwise be questioned while the second request is still on its way."""

    async def main() -> None:
        async with servers(2, room=10) as (store, (first, second)):
            store.cluster.put("deployments", made("deployments", "d", 1))
            base = store.cluster.version
            for server in (first, second):
                server.follower.deliver("deployments")
            assert await first.ask("d", 5, base=base) == "allowed"
            writes = store.writes
            assert await first.ask("d", 5, base=base) == "allowed"
            assert store.writes == writes
            await asyncio.sleep(74)
            assert await second.ask("d", 5, base=base) == "allowed"
            await asyncio.sleep(2)
            prove(first)
            expire(first)
            assert len(first.follower.view.ledger) == 1
            assert await first.ask("e", 6) == "refused"

    run(main())


def test_an_update_that_cannot_land_any_more_is_not_promised() -> None:
    async def main() -> None:
        async with servers(1, room=10) as (store, (server,)):
            store.cluster.put("deployments", made("deployments", "d", 1))
            base = store.cluster.version
            store.cluster.put("deployments", made("deployments", "d", 2))
            server.follower.deliver("deployments")
            assert await server.ask("d", 5, base=base) == "allowed"
            assert store.document.rows == {}

    run(main())


def test_a_bug_in_judging_costs_one_request() -> None:
    async def main() -> None:
        async with servers(1) as (_, (server,)):
            promise = server.follower.promise("pods", made("pods", "u1", 1), 0)

            def broken():
                raise ZeroDivisionError

            asked = [
                server.committer.promise(promise, broken, bool, timeout_seconds=5),
                server.ask("u2"),
            ]
            first, second = await asyncio.gather(*asked, return_exceptions=True)
            assert isinstance(first, ZeroDivisionError)
            assert second == "allowed"

    run(main())


def test_every_row_written_can_be_read_by_a_stranger() -> None:
    async def main() -> None:
        async with servers(1) as (store, (server,)):
            await server.ask("u1", 3)
            document = decode(store.cluster.ledger.text)
            (promise,) = document.rows
            assert (promise.uid, promise.version.count) == ("u1", 3)

    run(main())
