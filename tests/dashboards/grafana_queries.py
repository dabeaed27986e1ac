"""What Grafana makes of a dashboard's text before Prometheus sees it: variables and windows.

Source: Grafana's documentation, "Prometheus template variables" (`$__range`, `$__rate_interval`,
escaping of values) and "Variable syntax"; `datasource.ts` and `escaping.ts` of its source, in
packages/grafana-prometheus.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ALL = "$__all"
_MAX_POINTS = 1000
"""A panel is about so many pixels wide, and Grafana asks for no more points unless told to."""
# Source: packages/grafana-data/src/datetime/rangeutil.ts, `roundInterval`: below so much, so much.
_ROUNDED_S = (
    (1.5, 1), (3.5, 2), (7.5, 5), (12.5, 10), (17.5, 15), (25, 20), (45, 30), (90, 60), (210, 120),
    (450, 300), (750, 600), (1050, 900), (1500, 1200), (2700, 1800), (5400, 3600), (9000, 7200),
    (16200, 10800), (32400, 21600), (86400, 43200),
)  # fmt: skip
_REFERENCE = re.compile(r"\$(?:\{([A-Za-z_]\w*)(?::(\w+))?\}|([A-Za-z_]\w*))")
"""`$1` is no variable: `label_replace` means a group by it."""
_REGEX_CHARACTERS = re.compile(r"([$^*{}\[\]'+?.()|])")


class UnknownVariable(LookupError):
    """A text names a variable that the dashboard does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The time range of a dashboard, and the scrape interval that the data source names."""

    until_s: int
    range_s: int
    scrape_s: int
    min_step_s: int = 0
    """The query's own, if it names one: then it stands for the scrape interval."""
    max_points: int | None = None
    """The panel's own, if it names them."""

    @property
    def interval_s(self) -> int:
        """`$__interval`: the step of a range query."""
        exact_s = self.range_s / (self.max_points or _MAX_POINTS)
        rounded_s = next(step for below, step in _ROUNDED_S if exact_s < below)
        return max(rounded_s, self.min_step_s or self.scrape_s)

    @property
    def rate_interval_s(self) -> int:
        """`$__rate_interval`: never less than four scrapes."""
        scrape_s = self.min_step_s or self.scrape_s
        return max(self.interval_s + scrape_s, 4 * scrape_s)

    def macros(self) -> dict[str, str]:
        """List what does not depend on the dashboard."""
        return {
            "__range": f"{self.range_s}s",
            "__range_s": str(self.range_s),
            "__range_ms": str(self.range_s * 1000),
            "__interval": f"{self.interval_s}s",
            "__interval_ms": str(self.interval_s * 1000),
            "__rate_interval": f"{self.rate_interval_s}s",
        }


@dataclass(frozen=True, slots=True)
class Choice:
    """What is chosen for a variable: `ALL` alone, or values. `is_many`: several could be."""

    values: tuple[str, ...]
    all_value: str | None = None
    is_many: bool = True

    def text(self) -> str:
        """Write it into a query."""
        if self.values == (ALL,):
            assert self.all_value is not None, "All without allValue is every value, one by one"
            return self.all_value
        if not self.is_many:
            return self.values[0].replace("\\", "\\\\").replace("'", "\\\\'")
        escaped = [_escaped(value) for value in self.values]
        return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def _escaped(value: str) -> str:
    # Twice: for the regular expression, and for the string in quotes that it stands in.
    return _REGEX_CHARACTERS.sub(r"\\\\\1", value.replace("\\", "\\\\\\\\"))


def substituted(text: str, choices: Mapping[str, Choice], window: Window) -> str:
    """Put values and windows in; raises `UnknownVariable` for one that there is not."""
    macros = window.macros()

    def put(reference: re.Match[str]) -> str:
        name = reference[1] or reference[3]
        if name in macros:
            return macros[name]
        if name not in choices:
            raise UnknownVariable(name)
        return choices[name].text()

    return _REFERENCE.sub(put, text)


def references(texts: Sequence[str]) -> set[str]:
    """List the variables that texts name, Grafana's own ones included."""
    return {found[1] or found[3] for text in texts for found in _REFERENCE.finditer(text)}
