"""A dict that forgets everything when it is full: a cache whose entries are cheap to make again."""

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Bounded(dict[K, V]):
    """Hold at most `limit` entries; look up with `get`, remember with `keep`."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def keep(self, key: K, value: V) -> V:
        """Remember a value and return it.

        Forgetting all at once costs one round of misses; anything finer would cost every hit.
        """
        if len(self) >= self._limit:
            self.clear()
        self[key] = value
        return value
