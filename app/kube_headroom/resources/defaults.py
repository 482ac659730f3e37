"""Defaults: what the API server fills into a pod before any validating webhook sees it.

Separate because a template never gets them: a Deployment with only limits, or with nothing at all in
a namespace with a LimitRange, reaches us bare. Whoever judges a template applies here what its pods
will get: requests from limits first, then the LimitRanges, the first that names a value winning.
"""

from collections.abc import Sequence

import msgspec

from kube_headroom.resources.objects import KubeObject, Quantities, QuantityText, Resources


class LimitRangeDefaults(msgspec.Struct, frozen=True, gc=False):
    """What one LimitRange gives to containers that do not say it themselves."""

    name: str
    requests: Quantities
    limits: Quantities


class DefaultedResources(msgspec.Struct, frozen=True, gc=False):
    """A container's resources with defaults filled in, and where each filled value comes from."""

    requests: Quantities
    limits: Quantities
    sources: dict[tuple[str, str], str]


def limit_range_defaults(obj: KubeObject) -> LimitRangeDefaults | None:
    """Return the container defaults of a LimitRange, or None if it has none.

    What is stored is completed as the API server does: limits from max, requests from limits, then
    from min. For a file that has not been through an API server that matters.
    """
    requests: Quantities = {}
    limits: Quantities = {}
    for item in (obj.spec.limits if obj.spec is not None else None) or ():
        if item.type != "Container":
            continue
        item_limits = (item.max or {}) | (item.default or {})
        limits |= item_limits
        requests |= (item.min or {}) | item_limits | (item.default_request or {})
    if not requests and not limits:
        return None
    return LimitRangeDefaults(name=obj.metadata.name or "", requests=requests, limits=limits)


def with_limit_ranges(
    resources: Resources | None, limit_ranges: Sequence[LimitRangeDefaults]
) -> DefaultedResources:
    """Return a container's resources as the LimitRanges of its namespace complete them."""
    limits: Quantities = dict((resources and resources.limits) or {})
    requests: Quantities = {**limits, **((resources and resources.requests) or {})}
    sources: dict[tuple[str, str], str] = {}
    for limit_range in limit_ranges:
        source = f"LimitRange {limit_range.name}"
        for basis, values, given in (
            ("limits", limits, limit_range.limits),
            ("requests", requests, limit_range.requests),
        ):
            _fill(values, given, basis=basis, source=source, sources=sources)
    return DefaultedResources(requests=requests, limits=limits, sources=sources)


def _fill(
    values: Quantities,
    given: Quantities,
    *,
    basis: str,
    source: str,
    sources: dict[tuple[str, str], str],
) -> None:
    value: QuantityText
    for name, value in given.items():
        if name not in values:
            values[name] = value
            sources[basis, name] = source
