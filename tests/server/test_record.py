"""What is kept of decisions: bounded series, and one line each that says nothing of the object."""

import asyncio
import io
import json
import logging
import re
from collections.abc import Iterator

import msgspec
import pytest

from kube_headroom.admission.decision import Decision, Finding
from kube_headroom.admission.ledger_access import Figures
from kube_headroom.server.logging import JsonLines, Stamps, TextLines, configure_logging
from kube_headroom.server.metrics import Metrics, RoomFigure, Scrape
from kube_headroom.server.recorder import DecisionRecorder

LEDGER_SERIES = ("commits_total", "conflicts_total", "full_total", "rows", "bytes")

DENIED = Decision(
    uid="r1",
    operation="CREATE",
    kind="Deployment",
    subresource="",
    namespace="shop",
    name="web",
    object_uid="u1",
    allowed=False,
    outcome="deny",
    mode="enforce",
    findings=(
        Finding(code="HR104", effect="enforce", message="memory limit is missing", container="a"),
        Finding(code="HR104", effect="enforce", message="memory limit is missing", container="b"),
        Finding(code="HR203", effect="warn", message="cpu"),
    ),
)


class FakeSources:
    def in_flight(self) -> int:
        return 3

    def ready(self) -> bool:
        return True

    def watch_ages(self) -> dict[str, float]:
        return {"pods": 1.5}

    def rooms(self) -> list[RoomFigure]:
        return [RoomFigure("memory", "requests", 100.0, 30.0, 60.0)]

    def policy_hash(self) -> str:
        return "abc123"

    def certificate_seconds(self) -> float:
        return 86400.0

    def open_promises(self) -> int:
        return 7

    def ledger_figures(self) -> Figures:
        return Figures(commits=5, conflicts=2, full=1, rows=3, characters=400)


def _series(metrics: Metrics) -> dict[str, float]:
    text = asyncio.run(Scrape(metrics.registry, FakeSources()).render()).decode()
    lines = [line for line in text.splitlines() if line.startswith("kube_headroom_")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_decisions_codes_times_and_states_are_in_a_scrape() -> None:
    metrics = Metrics()
    metrics.decided(DENIED, 0.0021)
    metrics.decided(DENIED, 0.0021)
    metrics.rejected("slow_sender")
    series = _series(metrics)
    decisions = 'kube_headroom_decisions_total{kind="Deployment",operation="CREATE",outcome="deny"}'
    assert series[decisions] == 2
    codes = "kube_headroom_decision_codes_total"
    assert series[f'{codes}{{code="HR104",effect="enforce"}}'] == 2
    assert series[f'{codes}{{code="HR203",effect="warn"}}'] == 2
    assert series['kube_headroom_review_seconds_count{charge="none"}'] == 2
    assert series['kube_headroom_http_rejections_total{reason="slow_sender"}'] == 1
    assert series['kube_headroom_http_rejections_total{reason="too_large"}'] == 0
    assert series["kube_headroom_in_flight_reviews"] == 3
    assert series['kube_headroom_watch_age_seconds{resource="pods"}'] == 1.5
    assert series['kube_headroom_headroom{basis="requests",resource="memory"}'] == 60
    assert series['kube_headroom_policy_info{hash="abc123"}'] == 1
    assert series["kube_headroom_certificate_expiry_seconds"] == 86400
    assert series["kube_headroom_open_promises"] == 7
    ledger = {name: series[f"kube_headroom_ledger_{name}"] for name in LEDGER_SERIES}
    assert list(ledger.values()) == [5, 2, 1, 3, 400]


def test_strangers_words_do_not_make_series() -> None:
    metrics = Metrics()
    for number in range(500):
        finding = Finding(code=f"HR{number}x", effect="enforce", message="")
        metrics.decided(
            msgspec.structs.replace(
                DENIED, kind=f"K{number}", operation=f"O{number}", findings=(finding,)
            ),
            0.1,
        )
    series = _series(metrics)
    other = 'kube_headroom_decisions_total{kind="other",operation="other",outcome="deny"}'
    code = 'kube_headroom_decision_codes_total{code="other",effect="enforce"}'
    assert (series[other], series[code]) == (500, 500)
    assert not any(re.search(r"[KO]\d|HR\d+x", name) for name in series)
    assert sum(name.startswith("kube_headroom_decision") for name in series) == 2


@pytest.fixture
def restored_logging() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("kube_headroom")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


@pytest.mark.usefixtures("restored_logging")
def test_a_decision_is_one_json_line() -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    recorder = DecisionRecorder(Metrics())
    recorder.decided(DENIED, 0.0021)
    recorder.decided(msgspec.structs.replace(DENIED, name="a\nb\x1b[31m" + "x" * 500), 0.1)
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first.pop("time").endswith("Z")
    assert first == {
        "level": "info", "logger": "kube_headroom.decisions", "message": "decision",
        "outcome": "deny", "operation": "CREATE", "kind": "Deployment", "subresource": "",
        "namespace": "shop", "name": "web", "uid": "r1", "object_uid": "u1",
        "codes": ["HR104", "HR203"], "mode": "enforce", "exemption": "", "policy": "",
        "dry_run": False, "charge": "", "ms": 2.1,
    }  # fmt: skip
    assert len(second["name"]) == 253


@pytest.mark.usefixtures("restored_logging")
@pytest.mark.parametrize(("level", "lines"), [("info", 1), ("debug", 2)])
def test_what_is_allowed_without_a_word_is_logged_for_who_looks_closely(
    level: str, lines: int
) -> None:
    stream = io.StringIO()
    configure_logging(level, "json", stream)
    recorder = DecisionRecorder(Metrics())
    allowed = msgspec.structs.replace(DENIED, allowed=True, outcome="allow", findings=())
    recorder.decided(allowed, 0.1)
    recorder.decided(msgspec.structs.replace(allowed, charge="unpromised"), 0.1)
    assert stream.getvalue().count("\n") == lines


@pytest.mark.usefixtures("restored_logging")
@pytest.mark.parametrize(("level", "lines"), [("info", 1), ("warning", 0)])
def test_as_text_it_is_one_line_too(level: str, lines: int) -> None:
    stream = io.StringIO()
    configure_logging(level, "text", stream)
    recorder = DecisionRecorder(Metrics())
    recorder.decided(msgspec.structs.replace(DENIED, name="a\nb\x1b[31m"), 0.1)
    text = stream.getvalue()
    assert text.count("\n") == lines
    assert "\x1b" not in text
    assert ("name=a\\nb\\x1b[31m" in text) == bool(lines)


@pytest.mark.usefixtures("restored_logging")
def test_at_level_debug_only_we_are_verbose() -> None:
    """Clients' libraries write whole answers of the API server at that level."""
    stream = io.StringIO()
    configure_logging("debug", "text", stream)
    logging.getLogger("kubernetes.client.rest").debug("response body: a secret")
    logging.getLogger("kube_headroom.cluster").debug("a detail")
    logging.getLogger("kubernetes.client.rest").warning("a warning")
    text = stream.getvalue()
    assert ("secret" in text, "a detail" in text, "a warning" in text) == (False, True, True)


@pytest.mark.parametrize("formatter", [JsonLines(), TextLines()])
def test_a_message_with_control_characters_stays_one_line(formatter: logging.Formatter) -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "a\r\nb %s", ("\x00\u2028",), None)
    line = formatter.format(record)
    assert not re.search(r"[\x00-\x1f]", line)


def test_stamps_follow_the_clock() -> None:
    times = iter([1.5, 1.000001, 86400.25, 0.0])
    stamps = Stamps(lambda: next(times))
    assert [stamps.now() for _ in range(4)] == [
        "1970-01-01T00:00:01.500000Z",
        "1970-01-01T00:00:01.000000Z",
        "1970-01-02T00:00:00.250000Z",
        "1970-01-01T00:00:00.000000Z",
    ]
