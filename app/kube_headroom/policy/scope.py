"""Which part of a policy binds one request: by namespace, its labels, the user, and the day.

Pure: who asks says what day it is. A policy holds for days while requests come by the thousand, so what depends
on the namespace alone is kept; users and groups are looked up each time.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Final, Literal

import msgspec

from kube_headroom.policy.fields import Mode
from kube_headroom.policy.model import Exemption, Policy, Requirements

_ENFORCE: Final = "kube-headroom.io/enforce"
_WARN: Final = "kube-headroom.io/warn"
_AUDIT: Final = "kube-headroom.io/audit"
LABELS: Final[tuple[tuple[Mode, str], ...]] = (
    ("enforce", _ENFORCE),
    ("warn", _WARN),
    ("audit", _AUDIT),
)
"""The namespace labels, strictest first; only the value "true" counts."""

_STRICTNESS: Final[dict[Mode, int]] = {"audit": 0, "warn": 1, "enforce": 2}
_MAX_KEPT: Final = 10_000  # scopes by namespace and labels; more are made anew each time

Matcher = Callable[[str], bool]
Effect = Literal["enforce", "warn", "audit", "off"]


class Scope(msgspec.Struct, frozen=True):
    """What binds one request."""

    mode: Mode
    requirements: Requirements
    exemption: str | None = None
    """The reason it is freed from every refusal."""
    exempt_images: Matcher | None = None
    """Tells which images are freed from the requirements; None when none are."""

    def cap(self, action: Literal["enforce", "warn", "off"]) -> Effect:
        """Return what a rule's action comes to under the mode."""
        if action == "off" or self.mode == "enforce":
            return action
        return self.mode


class _NamespaceScope(msgspec.Struct, frozen=True):
    """What the namespace alone decides."""

    scope: Scope
    exemptions: tuple["_Exemption", ...]


class _Exemption(msgspec.Struct, frozen=True):
    """An exemption with its patterns made into matchers."""

    reason: str
    until: date | None
    namespaces: Matcher | None
    users: Matcher | None
    groups: Matcher | None
    images: Matcher | None

    def frees(self, user: str, groups: Sequence[str], today: date) -> bool:
        if self.until is not None and today > self.until:
            return False
        if self.users is not None and not self.users(user):
            return False
        return self.groups is None or any(map(self.groups, groups))


class Scopes:
    """Finds the scope of each request under one policy."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._overrides = tuple((matcher(one.names), one) for one in policy.namespaces)
        self._exemptions = tuple(_prepared(one) for one in policy.exemptions)
        self._kept: dict[tuple[str | None, ...], _NamespaceScope] = {}

    def scope_for(
        self,
        *,
        namespace: str,
        namespace_labels: Mapping[str, str | None],
        user: str,
        groups: Sequence[str],
        today: Callable[[], date],
    ) -> Scope:
        """Return what binds a request of this user in this namespace; today is in UTC."""
        here = self._namespace(namespace, namespace_labels)
        if not here.exemptions:
            return here.scope
        day = today()
        active = [one for one in here.exemptions if one.frees(user, groups, day)]
        reason = next((one.reason for one in active if one.images is None), None)
        images = [one.images for one in active if one.images is not None]
        return msgspec.structs.replace(
            here.scope, exemption=reason, exempt_images=_any_of(images) if images else None
        )

    def _namespace(self, name: str, labels: Mapping[str, str | None]) -> _NamespaceScope:
        get = labels.get
        key = (name, get(_ENFORCE), get(_WARN), get(_AUDIT))
        found = self._kept.get(key)
        if found is None:
            found = self._find(name, labels)
            if len(self._kept) < _MAX_KEPT:
                self._kept[key] = found
        return found

    def _find(self, name: str, labels: Mapping[str, str | None]) -> _NamespaceScope:
        policy = self._policy
        override = next((one for matches, one in self._overrides if matches(name)), None)
        mode, requirements = policy.mode, policy.requirements
        if override is not None:
            mode = override.mode or mode
            requirements = override.requirements or requirements
        return _NamespaceScope(
            scope=Scope(
                _labelled(mode, labels, may_loosen=policy.allow_namespaces_to_loosen), requirements
            ),
            exemptions=tuple(
                one for one in self._exemptions if one.namespaces is None or one.namespaces(name)
            ),
        )


def matcher(patterns: Iterable[str]) -> Matcher:
    """Return a function that tells whether a text matches one of the patterns; `*` is any text."""
    one_of = "|".join(
        ".*".join(re.escape(part) for part in pattern.split("*")) for pattern in patterns
    )
    fullmatch = re.compile(one_of, re.DOTALL).fullmatch
    return lambda text: fullmatch(text) is not None


def _labelled(mode: Mode, labels: Mapping[str, str | None], *, may_loosen: bool) -> Mode:
    wanted = next((one for one, label in LABELS if labels.get(label) == "true"), None)
    if wanted is None or (not may_loosen and _STRICTNESS[wanted] < _STRICTNESS[mode]):
        return mode
    return wanted


def _prepared(exemption: Exemption) -> _Exemption:
    return _Exemption(
        reason=exemption.reason,
        until=exemption.until,
        namespaces=matcher(exemption.namespaces) if exemption.namespaces else None,
        users=matcher(exemption.users) if exemption.users else None,
        groups=matcher(exemption.groups) if exemption.groups else None,
        images=matcher(exemption.images) if exemption.images else None,
    )


def _any_of(matchers: Sequence[Matcher]) -> Matcher:
    if len(matchers) == 1:
        return matchers[0]
    return lambda text: any(matches(text) for matches in matchers)
