"""What the reflector makes of an API server that misbehaves."""

import asyncio
from itertools import pairwise

from kube_headroom.cluster.backoff import BackoffSettings
from kube_headroom.cluster.reflector import ReflectorSettings
from tests.cluster.conftest import IMPATIENT
from tests.cluster.fake_api import (
    bookmark,
    error_status,
    event,
    failure,
    json_text,
    page,
    pod,
    reply,
    stream,
)
from tests.cluster.recording import until


async def test_lists_are_consistent_and_paged(api, follow, view):
    """No resourceVersion is ever sent with a list; the continue token is."""
    api.lists = [page([pod("a", 1), pod("b", 2)], 7, more="there"), page([pod("c", 3)], 7)]
    api.watches = [stream()]
    follow()
    await until(lambda: view.versions.get("pods") == "7", "the list")
    await until(lambda: api.asked_to("watches"), "the watch")

    first, second = (asked.query for asked in api.asked_to("lists"))
    assert first == {"limit": "2"}
    assert second == {"limit": "2", "continue": "there"}
    assert view.names("pods") == ["a", "b", "c"]
    watch = api.asked_to("watches")[0].query
    assert watch["resourceVersion"] == "7"
    assert watch["allowWatchBookmarks"] == "true"
    assert 300 <= int(watch["timeoutSeconds"]) <= 600
    assert api.asked[0].headers["authorization"] == "Bearer a-token"
    assert api.asked[0].headers["accept-encoding"] == "identity"


async def test_items_of_a_list_are_told_what_they_are(api, follow, view):
    """List items do not repeat kind and apiVersion; the view sees them all the same."""
    api.lists, api.watches = [page([pod("a", 1)], 1)], [stream()]
    follow()
    await until(lambda: view.names("pods"), "the pod")
    assert (view.objects["pods"]["shop/a"].kind, view.objects["pods"]["shop/a"].api_version) == (
        "Pod",
        "v1",
    )


async def test_a_watch_adds_changes_and_removes(api, follow, view):
    api.lists = [page([pod("a", 1), pod("b", 2)], 2)]
    api.watches = [
        stream(
            event("ADDED", pod("c", 3)),
            event("MODIFIED", pod("a", 4)),
            event("DELETED", pod("b", 5)),
        )
    ]
    follow()
    await until(lambda: view.versions.get("pods") == "5", "the last event")
    assert view.names("pods") == ["a", "c"]
    assert view.objects["pods"]["shop/a"].metadata.resource_version == "4"


async def test_a_bookmark_is_progress_and_the_next_watch_starts_there(api, follow, view):
    api.lists = [page([pod("a", 1)], 2)]
    api.watches = [stream(bookmark(50), then="end"), stream()]
    follow()
    await until(lambda: len(api.asked_to("watches")) == 2, "the second watch")
    assert api.asked_to("watches")[1].query["resourceVersion"] == "50"
    assert len(api.asked_to("lists")) == 1


async def test_an_expired_watch_lists_anew_and_drops_what_is_gone(api, follow, view):
    """HTTP 410 at the start of a watch."""
    api.lists = [page([pod("a", 1), pod("b", 2)], 2), page([pod("b", 2), pod("c", 9)], 9)]
    api.watches = [failure(410, "Expired"), stream()]
    follow()
    await until(lambda: view.versions.get("pods") == "9", "the second list")
    assert view.names("pods") == ["b", "c"]


async def test_an_error_event_410_lists_anew_after_taking_what_came_before_it(api, follow, view):
    """The API server says 410 inside a running watch, too."""
    api.lists = [page([], 2), page([pod("c", 3)], 9)]
    expired = {"type": "ERROR", "object": error_status(410, "Expired")}
    api.watches = [stream(event("ADDED", pod("c", 3)), expired), stream()]
    reflector = follow()
    await until(lambda: view.versions.get("pods") == "9", "the second list")
    assert view.names("pods") == ["c"]
    assert reflector.events == 1


async def test_another_error_event_does_not_show_older_states_again(api, follow, view):
    """The next watch starts after the last event that was taken, even in a broken block."""
    api.lists = [page([], 2)]
    broken = {"type": "ERROR", "object": error_status(500, "InternalError")}
    block = json_text(event("ADDED", pod("c", 3))) + b"\n" + json_text(broken) + b"\n"
    api.watches = [stream(block), stream()]
    follow()
    await until(lambda: len(api.asked_to("watches")) == 2, "the second watch")
    assert api.asked_to("watches")[1].query["resourceVersion"] == "3"
    assert len(api.asked_to("lists")) == 1


async def test_a_list_that_expires_between_two_pages_starts_over_with_larger_pages(
    api, follow, view
):
    """What the broken list had shown does not stay if the whole list does not have it."""
    api.lists = [
        page([pod("a", 1), pod("b", 2)], 2, more="there"),
        failure(410, "Expired"),
        page([pod("b", 2)], 9),
    ]
    api.watches = [stream()]
    follow()
    await until(lambda: view.versions.get("pods") == "9", "the whole list")
    assert view.names("pods") == ["b"]
    assert view.listed["pods"] == 1
    assert [asked.query["limit"] for asked in api.asked_to("lists")] == ["2", "2", "8"]


async def test_a_cut_line_is_dropped_and_comes_again(api, follow, view):
    """A connection that breaks in mid-event loses nothing."""
    api.lists = [page([], 2)]
    cut = json_text(event("ADDED", pod("d", 4)))[:40]
    api.watches = [
        stream(event("ADDED", pod("c", 3)), cut, then="cut"),
        stream(event("ADDED", pod("d", 4))),
    ]
    follow()
    await until(lambda: view.names("pods") == ["c", "d"], "both pods")
    assert api.asked_to("watches")[1].query["resourceVersion"] == "3"


async def test_an_event_may_arrive_in_many_pieces(api, follow, view):
    api.lists = [page([], 2)]
    text = json_text(event("ADDED", pod("c", 3))) + b"\n" + json_text(event("ADDED", pod("d", 4)))
    api.watches = [stream(*(text[at : at + 7] for at in range(0, len(text), 7)), b"\n")]
    follow()
    await until(lambda: view.names("pods") == ["c", "d"], "both pods")


async def test_a_silent_watch_is_given_up_and_its_version_too(api, follow, view):
    """Half-open connection: no byte, not even a bookmark. A new list also heals a restored etcd."""
    api.lists = [page([], 9), page([pod("a", 1)], 2)]
    api.watches = [stream(), stream()]
    reflector = follow()
    await until(lambda: view.names("pods") == ["a"], "the second list")
    assert reflector.lists >= 2


async def test_silence_again_and_again_is_asked_about_at_once(api, follow, view):
    """A quiet cluster sends no bookmarks: without a wait that grows, its view never gets stale."""
    api.lists = [page([], number) for number in range(9, 13)]
    api.watches = [stream() for _ in range(4)]
    reflector = follow(ReflectorSettings(backoff=BackoffSettings(first_seconds=60)))
    await until(lambda: view.listed.get("pods") == 4, "the fourth list")
    assert reflector.lists == 4


async def test_silence_makes_no_progress(api, follow, view):
    """So the view gets stale by itself; the version is good, for the watch had shown life."""
    api.lists = [page([], 9)]
    api.watches = [stream(event("ADDED", pod("a", 10))), stream()]
    follow()
    await until(lambda: len(api.asked_to("watches")) == 2, "the first watch given up")
    assert view.progressed["pods"] == 1
    assert api.asked_to("watches")[1].query["resourceVersion"] == "10"
    assert len(api.asked_to("lists")) == 1


async def test_the_first_watch_after_a_failure_is_short_and_proves_that_the_view_is_current(
    api, follow, view
):
    """The API server sends a bookmark 2 s before a watch's end: no minute of waiting for one."""
    api.lists = [page([], 2)]
    api.watches = [failure(500, "InternalError"), stream(bookmark(2), then="end"), stream()]
    reflector = follow()
    await until(lambda: len(api.asked_to("watches")) == 3, "the third watch")
    _, proof, usual = (int(asked.query["timeoutSeconds"]) for asked in api.asked_to("watches"))
    assert proof == 3
    assert usual >= 300
    assert reflector.last_error is None
    assert len(api.asked_to("lists")) == 1


async def test_a_short_watch_that_proves_nothing_is_followed_by_a_list(api, follow, view):
    api.lists = [page([], 2), page([], 3)]
    api.watches = [failure(500, "InternalError"), stream(then="end"), stream()]
    reflector = follow()
    await until(lambda: view.listed.get("pods") == 2, "the second list")
    assert reflector.last_error is None


async def test_failures_are_retried_with_growing_waits_and_said(api, follow, view, caplog):
    api.lists = [failure(500, "InternalError", "etcd is away")] * 4 + [page([], 2)]
    api.watches = [stream()]
    reflector = follow()
    await until(lambda: reflector.last_error, "an error")
    assert reflector.last_error == "GET /api/v1/pods: 500 InternalError: etcd is away"
    await until(lambda: view.listed.get("pods") == 1, "the list")
    assert reflector.last_error is None
    assert len(api.asked_to("lists")) == 5


async def test_retry_after_is_respected(api, follow, view):
    """429 with Retry-After: no request before that time is over."""
    api.lists = [failure(429, "TooManyRequests", retry_after="1"), page([], 2)]
    api.watches = [stream()]
    loop = asyncio.get_running_loop()
    started = loop.time()
    patient = ReflectorSettings(backoff=BackoffSettings(first_seconds=0.01))
    follow(patient)
    await until(lambda: view.listed.get("pods") == 1, "the list")
    assert loop.time() - started >= 1


async def test_a_watch_that_always_ends_at_once_is_no_hot_loop(api, follow, view):
    api.lists, api.watches = [page([], 2)], [stream(then="end")]
    loop = asyncio.get_running_loop()
    started = loop.time()
    follow(ReflectorSettings(backoff=BackoffSettings(first_seconds=0.2)))
    await until(lambda: len(api.asked_to("watches")) == 5, "five watches")
    # Every second one is the proof after a failure; at least half of 0.2 s and of 0.4 s.
    assert loop.time() - started >= 0.1 + 0.2


async def test_one_odd_object_does_not_hide_the_others(api, follow, view, caplog):
    """An object that breaks its own schema is counted and named, in lists and in watches."""
    odd = pod("odd", 2, spec={"nodeName": {"what": "ever"}})
    api.lists = [page([pod("a", 1), odd, pod("b", 3)], 3)]
    block = b"".join(
        json_text(event(kind, obj)) + b"\n"
        for kind, obj in (
            ("ADDED", pod("c", 4)),
            ("MODIFIED", odd),
            ("DELETED", pod("b", 6, spec={"nodeName": 5})),
            ("ADDED", pod("d", 7)),
        )
    )
    api.watches = [stream(block)]
    reflector = follow()
    await until(lambda: view.versions.get("pods") == "7", "the events")
    assert view.names("pods") == ["a", "c", "d"]
    assert reflector.undecodable == 2
    assert "pods shop/odd cannot be read" in caplog.text


async def test_a_bug_in_the_view_is_logged_and_followed_by_a_new_list(api, follow, view, caplog):
    """The loop survives whatever the view does; half-taken events are not trusted."""
    api.lists = [page([], 2), page([pod("a", 3)], 3)]
    api.watches = [stream(event("ADDED", pod("a", 3))), stream()]
    put, view.put = view.put, None
    follow()
    await until(lambda: len(api.asked_to("watches")) == 1, "the watch")
    await until(lambda: "following pods failed" in caplog.text, "the traceback")
    view.put = put
    await until(lambda: view.names("pods") == ["a"], "the new list")


async def test_relist_ends_the_watch_and_lists_at_once(api, follow, view):
    api.lists, api.watches = [page([], 2), page([pod("a", 3)], 3)], [stream()]
    reflector = follow(ReflectorSettings(backoff=BackoffSettings(first_seconds=60)))
    await until(lambda: len(api.asked_to("watches")) == 1, "the watch")
    reflector.relist()
    await until(lambda: view.names("pods") == ["a"], "the new list")


async def test_garbage_instead_of_json_is_a_failure_like_any_other(api, follow, view):
    """A proxy's HTML page with status 200."""
    api.lists = [reply(200, b"<html>please log in</html>"), page([pod("a", 1)], 2)]
    api.watches = [stream()]
    follow()
    await until(lambda: view.names("pods") == ["a"], "the list after it")


async def test_many_events_are_taken_in_order(api, follow, view):
    """Blocks far larger than one piece."""
    api.lists = [page([], 1)]
    events = [event("ADDED", pod(f"p{n:05}", n + 2)) for n in range(5000)]
    api.watches = [stream(*events)]
    follow()
    await until(lambda: view.versions.get("pods") == "5001", "all events")
    versions = [int(obj.metadata.resource_version) for obj in view.objects["pods"].values()]
    assert all(earlier < later for earlier, later in pairwise(versions))
    assert len(versions) == 5000


async def test_freshness_is_the_time_since_the_last_progress(api, follow, view):
    api.lists, api.watches = [page([], 1)], [stream(bookmark(2))]
    reflector = follow(IMPATIENT)
    await until(lambda: view.versions.get("pods") == "2", "the bookmark")
    now = asyncio.get_running_loop().time()
    assert reflector.seconds_since_progress(now) < 10
    assert reflector.seconds_since_progress(now + 100) > 99
