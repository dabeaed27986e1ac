"""Which values of one label have series of their own: a budget, spent on sight and by traffic.

Most of the budget is given at first sight, so that the first error of something never seen before
is in a series of its own. The rest is for values that keep coming, so that a burst of random names
can never spend it. What has a place keeps it.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import TypeVar

from spanmeter.grammar import UNTAGGED
from spanmeter_gateway.telemetry import names

_Seen = TypeVar("_Seen")

FREE = frozenset({"", UNTAGGED, names.FOLDED})
"""Absent, the feature of who names none, and folded: these cost nothing."""

# Sustained is 3 minutes of the last 10: a retry storm or a deploy's smoke test is over before, and
# a feature with a call in most minutes is in after three.
SUSTAINED_MINUTES = 3
WINDOW_MINUTES = 10
_WINDOW = (1 << WINDOW_MINUTES) - 1

# About 1.5 MB a label when full; see `Candidates`.
MAX_SEEN_ONCE = 4096
MAX_SEEN_AGAIN = 1024


class Candidates:
    """In which minutes values without a place came: exact for those that matter, and bounded.

    Two lists, the least recent of each forgotten when it is full. A name waits on the first until
    it comes in another minute, and only then reaches the second. A flood of random names churns
    the first and never touches the second; a steady value gets across as soon as two of its calls,
    in two minutes, have fewer than `MAX_SEEN_ONCE` new names between them.
    """

    def __init__(self) -> None:
        self._once: OrderedDict[str, int] = OrderedDict()
        self._again: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def is_sustained(self, value: str, minute: int) -> bool:
        """Note that a value came in a minute, and say whether it keeps coming."""
        seen = self._again.get(value)
        if seen is None:
            first = self._once.get(value)
            if first is None or not first < minute < first + WINDOW_MINUTES:
                _remember(self._once, value, minute, limit=MAX_SEEN_ONCE)
                return False
            del self._once[value]
            seen = first, 1
        last, history = seen
        # One bit a minute, the lowest is the last one; a clock that was set back stands still.
        passed = min(max(0, minute - last), WINDOW_MINUTES)
        history = (history << passed | 1) & _WINDOW
        _remember(self._again, value, (max(last, minute), history), limit=MAX_SEEN_AGAIN)
        return history.bit_count() >= SUSTAINED_MINUTES


class LabelValues:
    """The values of one label, or of labels that share a budget."""

    def __init__(self, budget: int, pinned: Iterable[str], *, at_sight_percent: int) -> None:
        self.budget = budget
        self._pinned = FREE.union(value[: names.MAX_LABEL_CHARS] for value in pinned)
        costly = len(self._pinned) - len(FREE)
        self._at_sight = costly + -(-(budget - costly) * at_sight_percent // 100)
        self._candidates = Candidates()
        self.known = set(self._pinned)
        """Those that are counted as they are."""

    def __len__(self) -> int:
        """Count the values that cost: pinned ones too, seen or not."""
        return len(self.known) - len(FREE)

    def admit(self, value: str, minute: int) -> bool:
        """Give a value that is not known a place, if there is one for it now."""
        used = len(self)
        if used >= self.budget:
            return False
        if used >= self._at_sight and not self._candidates.is_sustained(value, minute):
            return False
        self.known.add(value)
        return True

    def restart(self) -> None:
        """Take all places back but the pinned ones; who was watched is watched on."""
        self.known = set(self._pinned)


def _remember(places: OrderedDict[str, _Seen], value: str, seen: _Seen, *, limit: int) -> None:
    places[value] = seen
    places.move_to_end(value)
    if len(places) > limit:
        places.popitem(last=False)
