"""The times between the chunks of one stream, summed up by bucket: its memory stays the same."""

from bisect import bisect_left
from collections.abc import Iterator

from spanmeter.genai_metrics import GENAI_SECONDS, NANOS

_BOUNDS_NS = [round(bound * NANOS) for bound in GENAI_SECONDS]


class ChunkTimes:
    """A chunk is what one read of the answer brought."""

    __slots__ = ("_counts", "_last_ns", "_sums_ns")

    def __init__(self) -> None:
        self._last_ns: int | None = None
        self._counts = [0] * (len(_BOUNDS_NS) + 1)
        self._sums_ns = [0] * (len(_BOUNDS_NS) + 1)

    def note(self, now_ns: int) -> None:
        """Count a chunk; the first one only starts the clock."""
        if self._last_ns is not None:
            time_ns = now_ns - self._last_ns
            bucket = bisect_left(_BOUNDS_NS, time_ns)
            self._counts[bucket] += 1
            self._sums_ns[bucket] += time_ns
        self._last_ns = now_ns

    def seconds(self) -> Iterator[float]:
        """Yield a time for each chunk: the mean of its bucket, so buckets and sum are exact."""
        for count, sum_ns in zip(self._counts, self._sums_ns, strict=True):
            for _ in range(count):
                yield sum_ns / count / NANOS
