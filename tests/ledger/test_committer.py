"""The committer over a store that fails: what users see, and what is written."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from kube_headroom.capacity.ledger_document import Document, decode, encode
from tests.ledger.cluster import made
from tests.ledger.committing import (
    Server,
    beaten,
    expire,
    lost_answer,
    lost_question,
    prove,
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
