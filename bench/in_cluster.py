"""All benches over a real API server, one after the other; each also runs alone."""

from bench import charging, cold_start, through_api, watching
from bench.big import big_cluster, size_of
from bench.section import Section, run_alone


def measure(quick: bool) -> list[Section]:  # noqa: FBT001 - as all of them are called
    """Return what each found; two share one big cluster."""
    found = through_api.measure(quick)
    with big_cluster(size_of(quick=quick)) as big:
        found.append(cold_start.measure_in(big, cold_start.rounds(quick=quick)))
        found.append(watching.measure_in(big, watching.seconds(quick=quick)))
    return found + charging.measure(quick)


if __name__ == "__main__":
    run_alone(measure, __doc__)
