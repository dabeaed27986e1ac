"""What features cost: spending that jumps, and the budget of the calendar month, in UTC.

A month is added up from tiles of 5 minutes, each with the month in which it was recorded, so that
no query needs to know when the month began. A tile is the growth of a counter's last value, not
`increase`, which guesses what lies between two windows: tiles add up to what was counted, over gaps
of up to a day. Prometheus must keep 31 days.
"""

from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase

from spanmeter_gateway.alerting import places, series
from spanmeter_gateway.alerting.features import INTERVAL_S
from spanmeter_gateway.alerting.promql import (
    BY_FEATURE,
    FEATURE,
    ON_FEATURE,
    TEAM,
    asked,
    fits,
    told,
    up_to_date,
)
from spanmeter_gateway.alerting.rule import DAY_S, HOUR_S, MINUTE_S, Alert, Clock, Group, Recording
from spanmeter_gateway.alerting.slo import Slo, Spend
from spanmeter_gateway.telemetry import names

TILE_S = 5 * MINUTE_S
WEEK_S = 7 * DAY_S
MONTH_S = 31 * DAY_S
SETTLED_S = 15 * MINUTE_S
"""A quarter of the hour that is averaged: a burst of calls at once has left the rate by then."""
KEEP_S = 30 * MINUTE_S
"""One that goes up and down around its limit is told once."""
_USD = '{{ $value | printf "%.2f" }}'
_ANSWER = '{{ . | first | value | printf "%.2f" }} USD'
_BY_INSTANCE = f"by ({FEATURE}, job, instance)"
_MONTH_NOW = 'count_values("month", month())'
# The calendar's own: no test can make it faster.
_SECONDS_LEFT = "scalar((days_in_month() - day_of_month() + 1) * 86400 - time() % 86400)"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose money it is."""

    kind: str
    """`all`, `team` or `feature`."""
    name: str
    team: str
    selector: str
    """Of the features that it adds up."""
    month_usd: Decimal

    @property
    def labels(self) -> dict[str, str]:
        """Tell it from others; one feature can be silenced as such."""
        is_one = self.kind == "feature" and "*" not in self.name
        feature = {FEATURE: self.name} if is_one else {}
        return {"scope": self.kind, "name": self.name, TEAM: self.team, **feature}


def groups(slo: Slo, clock: Clock) -> tuple[Group, ...]:
    """List the groups; that of the months only where there is a budget."""
    spikes = Group(
        "spanmeter-spending", 2 * MINUTE_S, (_spike(slo.spend, clock), _expensive(slo.spend, clock))
    )
    found = scopes(slo)
    if not found:
        return (spikes,)
    recorded = [rule for scope in found for rule in _of_scope(scope)]
    months = Group("spanmeter-months", TILE_S, (*_months(clock), *recorded, _forecast(), _spent()))
    return (spikes, months)


def scopes(slo: Slo) -> tuple[Scope, ...]:
    """List everything that has a budget for the month."""
    found: list[Scope] = []
    if slo.month_usd is not None:
        found.append(Scope("all", "all", slo.default_team, "", slo.month_usd))
    earlier: tuple[str, ...] = ()
    for team in slo.teams:
        if team.month_usd is not None:
            # A feature is of the first team that it fits.
            others = f", {fits(earlier, '!~')}" if earlier else ""
            selector = f"{{{fits(team.features)}{others}}}"
            found.append(Scope("team", team.name, team.name, selector, team.month_usd))
        earlier += team.features
    for name, month_usd in slo.month_usd_by_feature.items():
        selector = f"{{{fits((name,))}}}"
        found.append(Scope("feature", name, _team(slo, name), selector, month_usd))
    return tuple(found)


def _team(slo: Slo, feature: str) -> str:
    for team in slo.teams:
        for pattern in team.features:
            # Only * means something in a pattern.
            if fnmatchcase(feature, pattern.replace("[", "[[]").replace("?", "[?]")):
                return team.name
    return slo.default_team


# -- jumps -----------------------------------------------------------------------------------------


def _around(clock: Clock, ago_s: int, of: str = "") -> str:
    """Take the most of the same hour some days ago, an hour to both sides: clocks change."""
    window, ago = clock.range(2 * HOUR_S), clock.range(ago_s - HOUR_S)
    return f"max_over_time({series.COST_RATE_1H}{of}[{window}] offset {ago})"


def _yesterday(clock: Clock, of: str = "") -> str:
    # Without the last hour, which a jump would widen.
    return f"{series.COST_RATE_1H}{of}[{clock.range(DAY_S)}] offset {clock.range(HOUR_S)}"


def _known_last_week(clock: Clock) -> str:
    # Of a whole day: one that was away for some hours is not new.
    window = f"{clock.range(DAY_S)}:{clock.range(HOUR_S)}"
    return f"count_over_time({series.COST_RATE_1H}[{window}] offset {clock.range(WEEK_S)})"


def _spike(spend: Spend, clock: Clock) -> Alert:
    hour = clock.seconds(HOUR_S)
    day = _yesterday(clock)
    expr = (
        f"{series.COST_RATE_1H} * {hour} > {spend.spike_usd_per_hour:g}\n"
        f"  and {ON_FEATURE} {series.COST_RATE_1H}"
        f" > {spend.spike_ratio:g} * {_around(clock, WEEK_S)}\n"
        f"  and {ON_FEATURE} {series.COST_RATE_1H}"
        f" > avg_over_time({day}) + 3 * stddev_over_time({day})\n"
        f"  and {ON_FEATURE} {_known_last_week(clock)}"
    )
    last_week = asked(
        f"{_around(clock, WEEK_S, '{}')} * {hour}", f"; at this time of last week at most {_ANSWER}"
    )
    average = asked(
        f"avg_over_time({_yesterday(clock, '{}')}) * {hour}",
        f"; on average of the day before {_ANSWER}",
    )
    return Alert(
        alert="SpanmeterCostSpike",
        expr=told(up_to_date(expr, clock.range(HOUR_S))),
        severity="ticket",
        summary=f"{{{{ $labels.{FEATURE} }}}} spends {_USD} USD an hour, "
        f"over {spend.spike_ratio:g} times last week's",
        description=f"{_USD} USD in the last hour{last_week}{average}. "
        f"Told is over {spend.spike_ratio:g} times last week, over the mean "
        f"and 3 standard deviations of a day, and over {spend.spike_usd_per_hour:g} USD an hour.",
        dashboard=places.of_feature(places.FEATURE),
        for_s=SETTLED_S,
        keep_firing_for_s=KEEP_S,
    )


def _expensive(spend: Spend, clock: Clock) -> Alert:
    # What it spent, not its average: a feature that is minutes old has spent no more than it did.
    recorded = f"sum_over_time({series.COST_RATE_5M}[{clock.range(HOUR_S)}])"
    expr = (
        f"{recorded} * {clock.seconds(INTERVAL_S)} > {spend.new_feature_usd_per_hour:g}\n"
        f"  unless {ON_FEATURE} {_known_last_week(clock)}\n"
        f"  unless {ON_FEATURE} {series.COST_RATE_1H}"
        f" <= {spend.spike_ratio:g} * {_around(clock, DAY_S)}"
    )
    return Alert(
        alert="SpanmeterNewFeatureExpensive",
        expr=told(up_to_date(expr, clock.range(HOUR_S))),
        severity="ticket",
        summary=f"New feature {{{{ $labels.{FEATURE} }}}} spends {_USD} USD an hour",
        description=f"{_USD} USD in the last hour by a feature that is younger than a week. Told "
        f"is over {spend.new_feature_usd_per_hour:g} USD an hour; from its second day on only if "
        f"it is over {spend.spike_ratio:g} times yesterday's, too.",
        dashboard=places.of_feature(places.FEATURE),
        for_s=SETTLED_S,
        keep_firing_for_s=KEEP_S,
    )


# -- months ----------------------------------------------------------------------------------------


def _months(clock: Clock) -> tuple[Recording, ...]:
    cost, total = names.COST.prometheus_name, series.COST_TOTAL
    tile, month, week = clock.range(TILE_S), clock.range(MONTH_S), clock.range(WEEK_S)
    before = f"last_over_time({total}[{clock.range(DAY_S)}] offset {tile}) <= {total}"
    # What is new, or began again, grew from the least that was seen: a new instance may bring
    # along what it counted under another address.
    first = f"sum {_BY_INSTANCE} (min_over_time({cost}[{tile}]))"
    return (
        Recording(total, f"sum {_BY_INSTANCE} ({cost})"),
        Recording(
            series.COST_BY_MONTH,
            f"sum {BY_FEATURE} ({total} - (({before})\n    or {first}))\n"
            f"  * on () group_left (month) {_MONTH_NOW}",
        ),
        # 31 days hold every day of this month, and no day of the same month of another year.
        Recording(
            series.MONTH_TO_DATE,
            f"sum {BY_FEATURE} (sum_over_time({series.COST_BY_MONTH}[{month}])\n"
            f"  and on (month) {_MONTH_NOW})",
        ),
        # Of the feature's life, if that is shorter; but a first hour says nothing of a month.
        Recording(
            series.COST_RATE_7D,
            f"sum {BY_FEATURE} (sum_over_time({series.COST_BY_MONTH}[{week}]))\n"
            f"  / clamp_min(sum {BY_FEATURE} (count_over_time({series.COST_BY_MONTH}[{week}]))"
            f" * {clock.seconds(TILE_S)}, {clock.seconds(DAY_S)})",
        ),
    )


def _of_scope(scope: Scope) -> tuple[Recording, ...]:
    spent = f"sum({series.MONTH_TO_DATE}{scope.selector})"
    return (
        Recording(series.MONTH_BUDGET, f"vector({scope.month_usd})", scope.labels),
        Recording(series.MONTH_SPENT, spent, scope.labels),
        Recording(
            series.MONTH_FORECAST,
            f"{spent}\n  + {_SECONDS_LEFT} * sum({series.COST_RATE_7D}{scope.selector})",
            scope.labels,
        ),
    )


_WHOSE = (
    '{{ if eq $labels.scope "all" }}all features together'
    "{{ else }}{{ $labels.scope }} {{ $labels.name }}{{ end }}"
)


def _of_this_scope(recorded: str) -> str:
    asked_for = f"printf `{recorded}{{scope=%q,name=%q}}` $labels.scope $labels.name"
    return f"{{{{ with {asked_for} | query }}}}{_ANSWER}{{{{ end }}}}"


def _forecast() -> Alert:
    return Alert(
        alert="SpanmeterMonthBudgetForecast",
        expr=f"{series.MONTH_FORECAST} > {series.MONTH_BUDGET}\n"
        f"  unless {series.MONTH_SPENT} > {series.MONTH_BUDGET}\n"
        "  unless on () day_of_month() == 1",
        severity="ticket",
        summary=f"Budget of {_WHOSE} will not last: {_USD} USD by the month's end",
        description=f"{_WHOSE}: {_of_this_scope(series.MONTH_SPENT)} since the month began "
        f"(UTC), {_USD} USD by its end if the last 7 days go on; allowed are "
        f"{_of_this_scope(series.MONTH_BUDGET)}.",
        dashboard=places.OVERVIEW,
        for_s=HOUR_S,
    )


def _spent() -> Alert:
    # A ticket: the money is gone, nothing is broken, and a night more is a few percent of a month.
    return Alert(
        alert="SpanmeterMonthBudgetSpent",
        expr=f"{series.MONTH_SPENT} > {series.MONTH_BUDGET}",
        severity="ticket",
        summary=f"Budget of {_WHOSE} is spent: {_USD} USD this month",
        description=f"{_WHOSE}: {_USD} USD since the month began (UTC); allowed are "
        f"{_of_this_scope(series.MONTH_BUDGET)} until its end.",
        dashboard=places.OVERVIEW,
    )
