"""All benches over a real API server, one after the other; each also runs alone."""

from collections.abc import Callable, Iterator
from typing import Final

from bench import charging, cold_start, through_api, watching
from bench.big import big_cluster, size_of
from bench.section import Section


def big(quick: bool) -> Iterator[Section]:  # noqa: FBT001 - as all of them are called
    """Yield what was found in one big cluster."""
    with big_cluster(size_of(quick=quick)) as cluster:
        yield cold_start.measure_in(cluster, cold_start.rounds(quick=quick))
        yield watching.measure_in(cluster, watching.seconds(quick=quick))


STAGES: Final[dict[str, Callable[[bool], Iterator[Section]]]] = {
    "through_api": lambda quick: iter(through_api.measure(quick)),
    "big": big,
    "charging": lambda quick: iter(charging.measure(quick)),
}
