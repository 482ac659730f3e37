"""How many entries each dictionary of a view has: what leaks shows here."""

from __future__ import annotations

from kube_headroom.capacity.view import View


def sizes(view: View) -> dict[str, int]:
    """Return the number of entries of everything that grows with the cluster, caches apart."""
    book, nodes, register = view.book, view.book.nodes, view.book.register
    kept = {f"book.{name}": value for name, value in vars(book).items()}
    kept |= {f"nodes.{name}": value for name, value in vars(nodes).items()}
    kept |= {f"register.{name}": value for name, value in vars(register).items()}
    kept |= {f"names.{name}": value for name, value in vars(book.names).items()}
    kept |= {f"counts.{name}": value for name, value in vars(book.counts).items()}
    kept |= {f"matching.{name}": value for name, value in vars(book.matching).items()}
    kept |= {f"seats.{name}": value for name, value in vars(book.seats).items()}
    kept |= {f"ledger.{name}": value for name, value in vars(view.ledger).items()}
    kept |= {f"completion.{name}": value for name, value in vars(view.completion).items()}
    kept |= {f"view.{name}": value for name, value in vars(view).items()}
    kept |= {f"view.known.{name}": value for name, value in kept.pop("view._known").items()}
    for fixed in ("view.resource_versions", "view.event_versions", "view._last_progress"):
        kept.pop(fixed, None)
    for cache in ("_eligible", "_lenses", "_can_hold", "_members", "_indexed", "_vacant"):
        kept.pop(f"nodes.{cache}", None)
    kept.pop("register._tallies", None)
    return {
        name: len(value) for name, value in kept.items() if isinstance(value, dict | list | set)
    }
