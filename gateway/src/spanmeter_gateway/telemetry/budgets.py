"""How many label values and series the metrics may have: plain values, read by `config` too."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Pinned:
    """Values that always have series of their own; they count in their label's budget."""

    features: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By allow-listed tag key."""


@dataclass(frozen=True, slots=True)
class Budgets:
    """Of distinct values per label, and of series in total.

    One breakdown of good calls is about 80 series (a histogram is one for each bucket).
    """

    features: int = 200
    tasks: int = 100
    models: int = 200
    """Request and response models share it."""
    tag_values: int = 50
    """Of each allow-listed tag key."""
    series: int = 200_000
    at_sight_percent: int = 90
    """Of a label's budget, given at first sight; the rest is for values that keep coming."""
    pinned: Pinned = field(default_factory=Pinned)
