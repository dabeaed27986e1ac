"""What a measure works with: the contest, how to start a side afresh, and where results go."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from bench.candidates import Candidate
from bench.contest import Contest
from bench.processes import Failed
from bench.rig import Mock
from bench.rows import Row, Sheet, middle, number

Start = Callable[[Mock, Path, str], AbstractContextManager[Candidate]]
KNOWN_S = 20.0
"""After so much of the expected time the pace of this machine is known."""


@dataclass(slots=True)
class Stage:
    """One benchmark, while it runs."""

    contest: Contest
    mock: Mock
    start_reference: Start
    start_ours: Start
    sheets: list[Sheet] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    full_rate_by_name: dict[str, float] = field(default_factory=dict)
    """Calls/s of a closed loop, as they came; what loads are shares of."""
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def full_rate(self, candidate: Candidate) -> float:
        """Give the calls/s of a candidate's closed loop, once that was measured."""
        rate = self.full_rate_by_name.get(candidate.name, math.nan)
        if not rate > 0:
            raise Failed(f"no call of {candidate.name} worked, so there is no load to derive")
        return rate

    def fresh(self, start: Start) -> AbstractContextManager[Candidate]:
        """Start a side anew, beside the one that runs."""
        return start(self.mock, self.contest.rig.folder, f"fresh-{next(self._numbers)}")

    def folder(self) -> Path:
        """Make a folder that nobody has used."""
        folder = self.contest.rig.folder / f"measure-{next(self._numbers)}"
        folder.mkdir()
        return folder


@dataclass(frozen=True, slots=True)
class Measure:
    """One question, and about how long its answer takes at full pace."""

    seconds: float
    run: Callable[[Stage], list[Row]]


@dataclass(slots=True)
class Progress:
    """Says on the way what runs, what was found, and how long the rest will take."""

    expected_s: dict[str, float]
    begun_at: float = field(default_factory=time.monotonic)
    done_s: float = 0.0

    def begin(self, name: str) -> None:
        """Say which measure begins."""
        number = list(self.expected_s).index(name) + 1
        left_s = sum(self.expected_s.values()) - self.done_s
        if self.done_s > KNOWN_S:
            left_s *= (time.monotonic() - self.begun_at) / self.done_s
        left = f"about {left_s / 60:.0f} min left" if left_s > 90 else f"about {left_s:.0f} s left"
        tell(f"{number} of {len(self.expected_s)}, {name}: {left}")

    def end(self, name: str, rows: list[Row]) -> None:
        """Say what a measure found."""
        self.done_s += self.expected_s[name]
        for row in rows:
            alone = f"{number(middle(row.reference))} {row.unit}"
            found = f"{number(row.value)} {row.compared_unit}" if row.compared else alone
            tell(f"{row.what}: {found}")


def tell(text: str) -> None:
    """Write a line for who watches."""
    print(f"bench: {text}", file=sys.stderr)
