"""The comparer: a view against what the API server lists, and the book against its own rows.

Who compares shows it every listed object, waits until the view is as far as the lists, and asks for
the report. Objects are not kept: what agrees at once needs only its name. Nothing is changed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Literal

import msgspec

from kube_headroom.capacity.pods import NEVER, PodRow
from kube_headroom.capacity.promise import Version
from kube_headroom.capacity.recount import recount
from kube_headroom.capacity.roots import Shown
from kube_headroom.capacity.rows import node_facts, owner_of, pod_row, shown_of
from kube_headroom.capacity.view import WORKLOADS, View, object_key
from kube_headroom.resources.objects import KubeObject
from kube_headroom.resources.workload import workload_of

COMPARED: Final = ("nodes", "pods", *WORKLOADS)
"""The types whose rows are compared; all of them are to be listed."""
_MAX_SHOWN: Final = 20

What = Literal["missed", "redundant", "different", "sum"]


class Difference(msgspec.Struct, frozen=True):
    """One row that is not in the view, should not be, or is another; or a sum that is off."""

    what: What
    resource: str
    identity: str
    words: str = ""

    def __str__(self) -> str:
        text = f"{self.what} {self.resource} {self.identity}".rstrip()
        return f"{text}: {self.words}" if self.words else text


class Report(msgspec.Struct, frozen=True):
    """What a comparison found."""

    rows: int
    """How many rows the lists have."""
    differences: tuple[Difference, ...]

    @property
    def exact(self) -> bool:
        """Whether view and lists are the same, and every sum adds up."""
        return not self.differences

    def __str__(self) -> str:
        if self.exact:
            return f"exact: {self.rows} rows"
        shown = [str(each)[:512] for each in self.differences[:_MAX_SHOWN]]
        more = len(self.differences) - len(shown)
        if more:
            shown.append(f"and {more} more")
        return "\n".join((f"{len(self.differences)} differences, {self.rows} rows", *shown))


Row = tuple[object, ...]


class Comparer:
    """One comparison; the view may move on while objects are shown."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._listed: set[tuple[str, str]] = set()
        self._doubtful: dict[tuple[str, str], Row] = {}

    def show(self, resource: str, obj: KubeObject) -> None:
        """Take an object of one of the compared types, as it is listed."""
        key = (_kind(resource), _identity(resource, obj))
        expected = self._expected(resource, obj)
        if expected is None:
            return
        self._listed.add(key)
        if self._actual(*key) != expected:
            self._doubtful[key] = expected

    @property
    def listed(self) -> int:
        """How many rows were shown."""
        return len(self._listed)

    def rows(self) -> Iterator[Difference | None]:
        """Yield, in small steps, the differences in rows; None for a step in which there is none.

        To be asked when the view is as far as the lists.
        """
        for key, expected in self._doubtful.items():
            actual = self._actual(*key)
            if actual is None:
                yield Difference("missed", *key)
            elif actual != expected:
                yield Difference("different", *key, f"the view has {_differing(actual, expected)}")
        for key in self._present():
            redundant = key not in self._listed and self._actual(*key) is not None
            yield Difference("redundant", *key) if redundant else None

    def _expected(self, resource: str, obj: KubeObject) -> Row | None:
        view = self._view
        if resource == "nodes":
            return node_facts(obj)
        if resource == "pods":
            row = pod_row(obj, object_key(resource, obj.metadata), 0.0, 1.0)
            return None if row is None else _pod(row)
        workload = workload_of(obj)
        if workload is None:
            return None
        template = view.completion.effective_template(workload.template, workload.namespace)
        version = view.completion.version(workload, template, owner_of(obj.metadata))
        return _workload(version, shown_of(resource, obj, workload))

    def _actual(self, kind: str, identity: str) -> Row | None:
        book = self._view.book
        if kind == "nodes":
            node = book.nodes.rows.get(identity)
            return (node.facts, node.allocatable, node.ready) if node else None
        if kind == "pods":
            row = book.pods.get(identity)
            return _pod(row) if row else None
        group = book.groups.get(identity)
        if group is None or group.version is None:
            return None
        return _workload(group.version, group.shown)

    def _present(self) -> Iterator[tuple[str, str]]:
        book = self._view.book
        yield from (("nodes", name) for name in tuple(book.nodes.rows))
        yield from (("pods", uid) for uid in tuple(book.pods))
        yield from (("workloads", uid) for uid in tuple(book.groups))


def sums(view: View, clock: Callable[[], float]) -> Iterator[Difference | None]:
    """Yield, in small steps, which running sums are off; None for a step in which all is well."""
    for words in recount(view.book, clock):
        yield Difference("sum", "book", "", words) if words else None


def compare(view: View, listed: Mapping[str, Iterable[KubeObject]], now: float) -> Report:
    """Return what is wrong with a view that is as far as these lists, all in one go."""
    view.tick(now)
    comparer = Comparer(view)
    for resource in COMPARED:
        for obj in listed.get(resource, ()):
            comparer.show(resource, obj)
    steps = (*comparer.rows(), *sums(view, lambda: now))
    return Report(comparer.listed, tuple(each for each in steps if each is not None))


def _kind(resource: str) -> str:
    return "workloads" if resource in WORKLOADS else resource


def _identity(resource: str, obj: KubeObject) -> str:
    if resource == "nodes":
        return obj.metadata.name or ""
    return object_key(resource, obj.metadata)


def _pod(row: PodRow) -> Row:
    """Return what the list also says of a pod: not since when it is leaving, or waits."""
    gated, waits = row.weightless_at == 0.0, 0.0 < row.weightless_at < NEVER
    leaving = row.leaving_until > 0.0
    facts = (row.owner, row.node, row.load, row.priority, row.placement, row.replaced)
    return (*facts, leaving, gated, waits)


def _workload(version: Version, shown: Shown) -> Row:
    return (*msgspec.structs.astuple(version), shown)


def _differing(actual: Row, expected: Row) -> str:
    pairs = zip(actual, expected, strict=True)
    return "; ".join(f"{mine}, listed is {other}" for mine, other in pairs if mine != other)
