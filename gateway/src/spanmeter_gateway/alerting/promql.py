"""The pieces that rules are written with: label names, the joins, the guard against a backlog."""

import re
from collections.abc import Mapping

from spanmeter_gateway.alerting import series
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.names import label

FEATURE = label(names.FEATURE)
OUTCOME = label(names.OUTCOME)
PROVIDER = label(names.PROVIDER)
MODEL = label(names.REQUEST_MODEL)
TEAM = "team"
BY_FEATURE = f"by ({FEATURE})"
ON_FEATURE = f"on ({FEATURE})"


def text(value: str) -> str:
    """Quote a label value."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def fits(features: tuple[str, ...], operator: str = "=~") -> str:
    """Select features by names and patterns with `*`: `...=~"checkout|billing-.*"`."""
    either = "|".join(".*".join(map(_quote, each.split("*"))) for each in features)
    return f"{FEATURE}{operator}{text(either)}"


def _quote(literal: str) -> str:
    # RE2 refuses an escaped letter, so only what has a meaning is escaped.
    return re.sub(r"([.+*?()|\[\]{}^$\\])", r"\\\1", literal)


def by_feature(values: Mapping[str, str], *, otherwise: str) -> str:
    """Give each feature with traffic its value, the first pattern that fits; values are numbers."""
    of_all = series.CALLS_RATE_5M
    values = values if set(values.values()) - {otherwise} else {}
    parts = [
        f"0 * group {BY_FEATURE} ({of_all}{{{fits((pattern,))}}}) + {value}"
        for pattern, value in values.items()
    ]
    parts.append(f"0 * group {BY_FEATURE} ({of_all}) + {otherwise}")
    return f"\n  or {ON_FEATURE} ".join(parts)


def told(expr: str) -> str:
    """Add to each feature's alert the team that is told."""
    return f"({expr})\n  * {ON_FEATURE} group_left ({TEAM}) {series.TEAM_INFO}"


def up_to_date(expr: str, range_: str = "") -> str:
    """Hold while the books enter a backlog: hours would look like one moment.

    `range_` is that of the recorded rates that are read, if not only their last value is: a
    backlog stays in them for as long.
    """
    behind = f"max_over_time({series.BOOKS_BEHIND}[{range_}])" if range_ else series.BOOKS_BEHIND
    return f"({expr})\n  unless on () {behind}"


def at_least(calls: int, counted: str) -> str:
    """Demand so many calls; half of one less, as a rate that begins at 0 is low by a scrape."""
    return f"{counted} > {calls - 0.5:g}"


def asked(query: str, shown: str) -> str:
    """Show what a query says of the alert's own feature: nothing, if there is no such series.

    In `query`, `{}` and the end of other matchers stand for the feature, `$value` for the alert's
    value; in `shown`, `.` is the answer.
    """
    of_feature = re.sub(r"\{(.*?)\}", _with_feature, query).replace("$value", "%[2]g")
    call = f"printf `{of_feature}` $labels.{FEATURE} $value"
    return f"{{{{ with {call} | query }}}}{shown}{{{{ end }}}}"


def _with_feature(matchers: re.Match[str]) -> str:
    others = f"{matchers[1]}," if matchers[1] else ""
    return f"{{{others}{FEATURE}=%[1]q}}"
