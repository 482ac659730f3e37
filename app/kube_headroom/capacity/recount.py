"""Recount: every running sum of the book against the rows that it sums.

Separate from the book because it is written the other way round: whole sums instead of changes. It
looks inside on purpose; nothing but time passes. Each step is small, and the book may change between two.
"""

from collections import Counter
from collections.abc import Callable, Iterator

from kube_headroom.capacity.book import Book
from kube_headroom.capacity.held import Holding, Register
from kube_headroom.capacity.load import NOTHING, Load
from kube_headroom.capacity.node import Lens
from kube_headroom.capacity.pods import LIVE, ON_NODE, PodRow
from kube_headroom.capacity.roots import Group
from kube_headroom.capacity.seats import holder_of

# ruff: noqa: SLF001 - who checks the sums must see them


def recount(book: Book, clock: Callable[[], float]) -> Iterator[str]:
    """Yield, step by step, what does not add up; an empty text is a step that does."""
    for uid in tuple(book.pods):
        now = clock()
        book.tick(now)
        yield _pod(book, book.pods.get(uid), now)
    for name in {*book.nodes.rows, *book.nodes._assigned, *book.counts._of_node}:
        yield _node(book, name)
    for uid in tuple(book.groups):
        yield _group(book, book.groups.get(uid))
    for uid in tuple(book.register._holders):
        yield _holder(book, uid)
    yield _register(book.register)
    for key in tuple(book.nodes._lenses):
        yield _lens(book, book.nodes._lenses.get(key))


def _pod(book: Book, row: PodRow | None, now: float) -> str:
    if row is None:
        return ""
    group = book.groups.get(row.group)
    counted = 0
    if now >= max(row.leaving_until, group.gone_until if group else 0.0):
        counted |= ON_NODE if row.node else 0
        away = row.node and row.replaced and not book.nodes.is_ready(row.node)
        counted |= 0 if away else LIVE
    size = NOTHING if not row.node and row.weightless_at <= now else row.load
    if (row.counted, row.size) != (counted, size):
        return f"pod {row.uid} is counted as {row.counted} at {row.size}, not {counted} at {size}"
    if row.group and (group is None or row.uid not in group.pods):
        return f"pod {row.uid} is not among those of {row.group}, under which it counts"
    if row.group != _counts_under(book, row):
        return f"pod {row.uid} counts under {row.group}, not {_counts_under(book, row)}"
    if row.node and row.uid not in book.counts._of_node.get(row.node, ()):
        return f"pod {row.uid} is not among those of its node {row.node}"
    return _refreshed(book, row.uid, pod=True)


def _counts_under(book: Book, row: PodRow) -> str:
    if not row.owner:
        return book.matching.taker_of(row.tags) if row.tags is not None else ""
    promises = book.counts._promises.get(row.uid, ())
    let_go = row.let_go or any(each.lets_go for each in promises)
    return row.owner if row.is_controlled and not let_go else ""


def _node(book: Book, name: str) -> str:
    expected: dict[int, Load] = {}
    for uid in book.counts._of_node.get(name, ()):
        row = book.pods.get(uid)
        if row is None or row.node != name:
            return f"node {name} lists pod {uid}, which is not on it"
        if row.counted & ON_NODE:
            expected[row.priority] = expected.get(row.priority, NOTHING).plus(row.size)
    assigned = book.nodes._assigned.get(name, {})
    expected = {priority: load for priority, load in expected.items() if load != NOTHING}
    return "" if assigned == expected else f"node {name} has {assigned}, its pods sum to {expected}"


def _group(book: Book, group: Group | None) -> str:
    if group is None:
        return ""
    rows = [book.pods.get(uid) for uid in group.pods]
    sizes = Counter((row.size, row.priority) for row in rows if row and row.counted & LIVE)
    if any(row is None or row.group != group.uid for row in rows):
        return f"owner {group.uid} lists pods that are not its own"
    if (group.live, group.sizes) != (sizes.total(), dict(sizes)):
        return f"owner {group.uid} has {group.live} live pods, not {sizes.total()}, or other sizes"
    parent = book.groups.get(group.parent)
    if group.parent and (parent is None or group.uid not in parent.children):
        return f"owner {group.uid} hangs under {group.parent}, which does not know it"
    if any(
        uid not in book.groups or book.groups[uid].parent != group.uid for uid in group.children
    ):
        return f"owner {group.uid} lists children that are not its own"
    return _refreshed(book, group.uid, pod=False)


def _refreshed(book: Book, uid: str, *, pod: bool) -> str:
    """Work out anew what is held, and put back what was."""
    top = uid
    while not pod and book.groups[top].parent:
        top = book.groups[top].parent
    holders = [uid] if pod else [each.uid for each in book.owners.below(book.groups[top])]
    before = {each: book.register.of(each) for each in holders}
    if pod:
        book.counts.refresh(uid)
    else:
        book.owners.refresh(uid)
    after = book.register.of(uid)
    for each, holdings in before.items():
        book.register.set(each, holdings)
    return "" if before[uid] == after else f"{uid} holds {before[uid]}, and should {after}"


def _holder(book: Book, uid: str) -> str:
    known = uid in book.pods or uid in book.groups or uid in book.counts._promises
    known = known or uid in map(holder_of, book.seats._seats)
    return "" if known or not book.register.of(uid) else f"{uid} is unknown, and holds something"


def _register(register: Register) -> str:
    fresh = Register()
    for uid, holdings in register._holders.items():
        fresh.set(uid, holdings)
    return "" if _as_set(fresh) == _as_set(register) else "the sums of what is held are off"


def _as_set(register: Register) -> set[Holding]:
    return set(register)


def _lens(book: Book, lens: Lens | None) -> str:
    if lens is None:
        return ""
    fresh = Lens(lens.bits, lens.threshold)
    for row in book.nodes.members(lens.bits):
        fresh.add(row.allocatable, book.nodes._free(row, lens.threshold))
    return "" if fresh == lens else f"a set of {lens.nodes} nodes sums to {fresh}, kept is {lens}"
