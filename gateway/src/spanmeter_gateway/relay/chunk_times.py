"""The times between the chunks of one stream, counted in buckets as they pass.

The GenAI conventions want one point a chunk; a receipt holds their histogram. A chunk is what one
read from the upstream brought: what it holds is nobody's business here.
"""

from bisect import bisect_left

from spanmeter_gateway.receipt import CHUNK_SECONDS

_BOUNDS_NS = [round(bound * 1e9) for bound in CHUNK_SECONDS]


class ChunkTimes:
    """The running histogram of one stream."""

    __slots__ = ("_counts", "_last_ns", "_sum_ns")

    def __init__(self) -> None:
        self._counts = [0] * (len(_BOUNDS_NS) + 1)
        self._last_ns: int | None = None
        self._sum_ns = 0

    def note(self, now_ns: int) -> None:
        """Count a chunk; the first one only starts the clock."""
        if self._last_ns is not None:
            time_ns = now_ns - self._last_ns
            self._counts[bisect_left(_BOUNDS_NS, time_ns)] += 1
            self._sum_ns += time_ns
        self._last_ns = now_ns

    def numbers(self) -> tuple[int, ...]:
        """Return the sum and the counts; nothing where there was one chunk at most."""
        return (self._sum_ns, *self._counts) if any(self._counts) else ()
