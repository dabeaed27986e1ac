"""One line of the result: what was compared, in each round, and the bar that it is held to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

Better = Literal["more", "less"]
Verdict = Literal["aim", "bar", "MISSED", ""]


@dataclass(frozen=True, slots=True)
class Bar:
    """What must hold, and what is aimed at: section 6 of the design."""

    must: float
    aim: float
    better: Better

    def judge(self, value: float) -> Verdict:
        """Say which of the two a value reaches."""
        sign = 1 if self.better == "more" else -1
        if sign * value >= sign * self.aim:
            return "aim"
        return "bar" if sign * value >= sign * self.must else "MISSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison. `compared` has a value a round: the ratio or difference within that round."""

    what: str
    unit: str
    """Of `reference` and `ours`."""
    reference: tuple[float, ...]
    """The other side's values: nginx's, where there is no other."""
    ours: tuple[float, ...]
    compared: tuple[float, ...]
    compared_unit: str = "x"
    bar: Bar | None = None
    note: str = ""

    @property
    def value(self) -> float:
        """Give the median of the rounds."""
        return middle(self.compared)

    @property
    def verdict(self) -> Verdict:
        """Judge the median."""
        return self.bar.judge(self.value) if self.bar is not None and self.compared else ""


def middle(values: Sequence[float]) -> float:
    """Give the median, or not-a-number where there is nothing."""
    return median(values) if values else math.nan


def row(
    what: str,
    *,
    ours: Sequence[float],
    reference: Sequence[float],
    unit: str,
    bar: Bar | None = None,
    note: str = "",
) -> Row:
    """Compare two sides by their ratio, round by round."""
    return Row(
        what=what,
        unit=unit,
        reference=tuple(reference),
        ours=tuple(ours),
        compared=tuple(a / b for a, b in zip(ours, reference, strict=False) if b),
        bar=bar,
        note=note,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A table of its own, for what has more than two sides. A cell is text, and may be empty."""

    title: str
    headings: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def number(value: float) -> str:
    """Print a figure with as many digits as mean anything."""
    if math.isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
