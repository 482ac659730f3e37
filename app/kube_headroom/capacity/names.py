"""Names: under which uid a create is filed whose name somebody else may have, or has tried before.

Of creates of one name at most one can land, and none while another object has it. So all of them
are filed as further versions of that object, or else of the first of them: the larger counts, not
the sum (ledger-protocol L3). But what is judged by it must not: an object that a late view still
shows may be gone, and its room promised to others.
"""

import msgspec

from kube_headroom.capacity.promise import NameKey, Promise
from kube_headroom.resources.objects import ObjectMeta


class _Laid(msgspec.Struct):
    """The promises that are laid under one name."""

    home: str
    is_shown: bool
    """Whether it was an object's, and not the first promise's own."""
    count: int


class Names:
    """Who has which name, as the view shows it, and which names are promised.

    Only names that people make up: nobody tries again what the API server made up.
    """

    def __init__(self) -> None:
        self._shown: dict[NameKey, str] = {}
        self._keys: dict[str, NameKey] = {}
        self._laid: dict[NameKey, _Laid] = {}

    def show(self, resource: str, metadata: ObjectMeta, uid: str) -> None:
        """Take over an object's name."""
        if metadata.name and not metadata.generate_name:
            key = (resource, metadata.namespace or "", metadata.name)
            self._keys[uid] = key
            self._shown[key] = uid

    def forget(self, uid: str) -> None:
        """Forget the name of an object that is gone."""
        key = self._keys.pop(uid, None)
        if key is not None and self._shown[key] == uid:
            del self._shown[key]

    def tried(self, promise: Promise) -> str:
        """Return the uid under which a promise is judged: that of the first of its name, or its own."""
        key = promise.name_key
        laid = self._laid.get(key) if key is not None else None
        return promise.uid if laid is None or laid.is_shown else laid.home

    def lay(self, promise: Promise) -> str:
        """Return the uid under which a promise is filed; it stays while one of its name is laid."""
        key = promise.name_key
        if key is None:
            return promise.uid
        shown = self._shown.get(key)
        fresh = _Laid(shown or promise.uid, shown is not None, 0)
        laid = self._laid.setdefault(key, fresh)
        laid.count += 1
        return laid.home

    def lift(self, promise: Promise) -> str:
        """Return the uid under which a promise was filed that ends now."""
        key = promise.name_key
        if key is None:
            return promise.uid
        laid = self._laid[key]
        laid.count -= 1
        if not laid.count:
            del self._laid[key]
        return laid.home
