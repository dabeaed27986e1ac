"""How late the books are, shown for so long that nobody who looks now and then misses it."""

from collections import deque
from typing import NamedTuple

SHOWN_S = 90.0
"""A backlog of hours is entered within seconds. Prometheus scrapes every 60 s by default, and OTLP
metrics go every 60 s (OTEL_METRIC_EXPORT_INTERVAL): each sees the peak, a late one too."""
LATE_NS = 60 * 1_000_000_000
"""A receipt entered so long after its call ended stands in the rates of another time."""


class _Peak(NamedTuple):
    until_s: float
    lag_s: float


class Lag:
    """The highest lag of the last `shown_s`; used by one thread."""

    def __init__(self, shown_s: float = SHOWN_S) -> None:
        self._shown_s = shown_s
        # Each lower than the one before: what is lower and ends earlier is never the highest.
        self._peaks: deque[_Peak] = deque()

    def highest(self, lag_s: float, *, now_s: float) -> float:
        """Take note of the lag of now, and return the highest; `now_s` is monotonic."""
        while self._peaks and self._peaks[-1].lag_s <= lag_s:
            self._peaks.pop()
        self._peaks.append(_Peak(now_s + self._shown_s, lag_s))
        while self._peaks[0].until_s <= now_s < self._peaks[-1].until_s:
            self._peaks.popleft()
        return self._peaks[0].lag_s
