"""What a Prometheus rule is, and how durations are written; knows no metric."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["page", "ticket", "none", "warning", "high", "critical"]
"""`page` wakes somebody, `ticket` waits for the morning; anomalies have a level of their own."""

MINUTE_S = 60
HOUR_S = 3600
DAY_S = 86400
_UNITS = ((DAY_S, "d"), (HOUR_S, "h"), (MINUTE_S, "m"), (1, "s"))


@dataclass(frozen=True, slots=True)
class Clock:
    """How long a second of the rules is: 1, or a part of it where a test cannot wait for hours."""

    factor: float = 1.0

    def range(self, seconds: float) -> str:
        """Write a duration as PromQL does: `5m`, `1h`, `90s`, `250ms`."""
        milliseconds = max(1, round(seconds * self.factor * 1000))
        for size_s, unit in _UNITS:
            if milliseconds % (size_s * 1000) == 0:
                return f"{milliseconds // (size_s * 1000)}{unit}"
        return f"{milliseconds}ms"

    def seconds(self, seconds: float) -> str:
        """Write a duration as a number of seconds, to be computed with."""
        return f"{seconds * self.factor:.15g}"


REAL = Clock()


@dataclass(frozen=True, slots=True)
class Recording:
    """A series that is computed once and read often."""

    record: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert; what it means and what to do stands in the playbook, under its name."""

    alert: str
    expr: str
    severity: Severity
    summary: str
    """One line, with the feature's name where there is one."""
    description: str
    """With the numbers; templates as Prometheus knows them."""
    dashboard: str
    """Path under Grafana's address; templates allowed."""
    for_s: int = 0
    keep_firing_for_s: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after the other, at one time."""

    name: str
    interval_s: int
    rules: tuple[Recording | Alert, ...]
