"""Names: under which uid a create is filed whose name somebody else may have, or has tried before.

Of creates of one name at most one can land, and none while another object has it. So all of them
are filed as further versions of that object, or else of the first of them: the larger counts, not
the sum (ledger-protocol L3).
"""

from kube_headroom.capacity.promise import NameKey, Promise
from kube_headroom.resources.objects import ObjectMeta


class Names:
    """Who has which name, as the view shows it, and which names are promised.

    Only names that people make up: nobody tries again what the API server made up.
    """

    def __init__(self) -> None:
        self._shown: dict[NameKey, str] = {}
        self._keys: dict[str, NameKey] = {}
        self._promised: dict[NameKey, tuple[str, int]] = {}

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

    def home(self, promise: Promise) -> str:
        """Return the uid under which a promise is filed; it stays while one of the name is laid."""
        key = promise.name_key
        if key is None:
            return promise.uid
        laid = self._promised.get(key)
        return laid[0] if laid is not None else self._shown.get(key, promise.uid)

    def lay(self, promise: Promise) -> str:
        """Count a promise that is laid; return its home."""
        return self._count(promise, 1)

    def lift(self, promise: Promise) -> str:
        """Count one less; return its home."""
        return self._count(promise, -1)

    def _count(self, promise: Promise, change: int) -> str:
        home, key = self.home(promise), promise.name_key
        if key is not None:
            _, count = self._promised.get(key, (home, 0))
            if count + change:
                self._promised[key] = (home, count + change)
            else:
                del self._promised[key]
        return home
