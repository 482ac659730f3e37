"""Signals, draining and probes of a real process."""

import json
import signal
import threading
import time
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.controlplane.waiting import wait_until
from tests.server.conftest import Start
from tests.server.process import ServerProcess, exchange


class Caller(threading.Thread):
    """An API server's transport: keeps a connection as long as it may, never repeats a POST."""

    def __init__(self, server: ServerProcess) -> None:
        super().__init__(daemon=True)
        self._server = server
        self.stop = threading.Event()
        self.closes: list[bool] = []
        self.failures: list[object] = []

    def run(self) -> None:
        connection = self._server.https()
        while not self.stop.is_set():
            try:
                reply = exchange(connection, "POST", "/validate", b"x" * 9_500)
            except (OSError, HTTPException) as error:
                self.failures.append(error)
                connection = self._server.https()
                continue
            if reply.status != 200:
                self.failures.append(reply)
            self.closes.append(reply.headers.get("connection") == "close")
        connection.close()


def test_draining_under_load_loses_no_request(start: Start) -> None:
    """Not ready at once, still answering, closing politely; the end comes after the quiet."""
    server = start("--drain-quiet-seconds=1", "--drain-max-seconds=20")
    callers = [Caller(server) for _ in range(8)]
    for caller in callers:
        caller.start()
    wait_until(lambda: all(len(caller.closes) > 20 for caller in callers), 10, "load")
    server.terminate()
    assert wait_until(lambda: server.side("/readyz").status == 503, 2, "not ready")
    assert server.side("/livez").status == 200
    draining_since = [len(caller.closes) for caller in callers]
    time.sleep(2)  # longer than the quiet period: it has not begun
    assert server.process.poll() is None
    for caller in callers:
        caller.stop.set()
        caller.join()
    stopped = time.monotonic()
    assert server.wait() == 0
    assert time.monotonic() - stopped < 4
    assert [caller.failures for caller in callers] == [[]] * 8
    for caller, since in zip(callers, draining_since, strict=True):
        assert len(caller.closes) > since + 10
        assert all(caller.closes[since + 1 :])
        assert not any(caller.closes[:10])


def test_the_quiet_is_not_waited_for_beyond_the_maximum(start: Start) -> None:
    server = start("--drain-quiet-seconds=5", "--drain-max-seconds=1")
    caller = Caller(server)
    caller.start()
    wait_until(lambda: caller.closes, 10, "load")
    server.terminate()
    began = time.monotonic()
    assert server.wait() == 0
    assert time.monotonic() - began < 4
    caller.stop.set()


def test_an_answer_under_way_is_given_before_the_end(start: Start, tmp_path: Path) -> None:
    server = start("--drain-quiet-seconds=0", "--drain-max-seconds=20")
    connection = server.https()
    connection.request("POST", "/validate", f"hold {tmp_path / 'release'}".encode())
    wait_until(lambda: _in_flight(server), 5, "the review")
    server.terminate()
    wait_until(lambda: server.side("/readyz").status == 503, 2, "not ready")
    (tmp_path / "release").touch()
    response = connection.getresponse()
    assert (response.status, response.getheader("connection")) == (200, "close")
    response.read()
    connection.close()
    assert server.wait() == 0


def _in_flight(server: ServerProcess) -> bool:
    return b"in_flight 1" in server.side("/metrics").body


@pytest.mark.parametrize(
    "signals", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT,)], ids=["twice", "Ctrl-C"]
)
def test_who_insists_is_obeyed_at_once(
    start: Start, tmp_path: Path, signals: tuple[signal.Signals, ...]
) -> None:
    server = start()
    connection = server.https()
    connection.request("POST", "/validate", f"hold {tmp_path / 'never'}".encode())
    wait_until(lambda: _in_flight(server), 5, "the review")
    began = time.monotonic()
    server.process.send_signal(signals[0])
    wait_until(lambda: _logged(server, "draining", "stopping at once"), 5, "the signal's effect")
    for one in signals[1:]:
        server.process.send_signal(one)
    assert server.wait(timeout=5) == 0
    assert time.monotonic() - began < 4
    assert _logged(server, "stopping at once")
    connection.close()


def _logged(server: ServerProcess, *messages: str) -> bool:
    return any(line["message"] in messages for line in server.log())


def test_readiness_says_what_is_missing(start: Start, tmp_path: Path) -> None:
    flag = tmp_path / "synced"
    server = start(FAKE_READY_FLAG=str(flag))
    for ask in (server.side, lambda path: server.request("GET", path)):
        reply = ask("/readyz")
        assert (reply.status, reply.body) == (503, b"[+] shutdown\n[-] watches: not synced: pods\n")
        assert ask("/livez").status == 200
    flag.touch()
    assert (server.side("/readyz").status, server.side("/readyz").body) == (200, b"ok\n")
    assert server.side("/readyz?verbose").body == b"[+] shutdown\n[+] watches\n"


def test_the_ports_in_use_are_in_the_log(start: Start) -> None:
    server = start()
    listening = [line for line in server.log() if line["message"] == "listening"]
    assert [(line["port"], line["metrics_port"]) for line in listening] == [
        (server.port, server.metrics_port)
    ]


def test_a_failed_background_task_ends_the_process(start: Start, tmp_path: Path) -> None:
    flag = tmp_path / "fail"
    server = start(FAKE_FAIL_FLAG=str(flag))
    flag.touch()
    assert server.wait() == 1
    assert any("for the test" in str(line.get("traceback")) for line in server.log())


def test_every_line_of_the_log_is_json(start: Start) -> None:
    server = start("--drain-quiet-seconds=0")
    server.review(b"bug")
    server.request("GET", "/%0a%1b[31m")
    server.terminate()
    server.wait()
    lines = server.log_path.read_text().splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines)
