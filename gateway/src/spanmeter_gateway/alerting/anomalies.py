"""Anomalies: what is far from the last seven days, and from the same time of each of them.

docs/anomalies.md says what is compared with what, and how well that finds what it should.
"""

from spanmeter_gateway.alerting import series
from spanmeter_gateway.alerting.anomaly_alert import alerts
from spanmeter_gateway.alerting.anomaly_values import ANOMALY, BUCKET_S, SCOPE, values
from spanmeter_gateway.alerting.exclusions import LEARNED_LATE_S, excluded, learned
from spanmeter_gateway.alerting.promql import FEATURE
from spanmeter_gateway.alerting.rule import DAY_S, HOUR_S, MINUTE_S, Clock, Group, Recording
from spanmeter_gateway.alerting.slo import Slo

BASELINE_DAYS = 7
BASELINE_INTERVAL_S = HOUR_S
"""A mean of seven days moves slowly; to read them every 5 minutes would be the dearest rule."""
WARM_UP_HOURS = 48
MIN_CALLS = 200
"""Of seven days: a feature with fewer is covered by all features together only."""
MIN_VALUES = 36
"""Of the baseline: fewer say nothing of what is usual."""
SIGMAS = 2
STDDEV_FLOOR = {
    "cost": 0.01, "latency": 0.05, "errors": 0.01, "calls": 5, "drift": 0.01,
}  # fmt: skip
"""USD, seconds, share, calls, share."""
STDDEV_FLOOR_RATIO = 0.1
HIGH_RATIO = 1.5
SEASON_RATIO = 1.5
"""Over the highest of this time of day."""
SEASON_MIN_DAYS = 6
"""Fewer may hold no weekend, and the first one would be an outage."""
LOW_RATIO = 0.5
LOW_MIN_CALLS = 5
MIN_COUNTED = 5
"""Failed or drifted calls of a bucket: one or two of twenty are chance."""
SEASON_S = 15 * MINUTE_S
"""The same time of another day is so much earlier or later, too."""
TWO_S = 9 * MINUTE_S
"""Holds two evaluations, whether a range has its left end within or, since Prometheus 3, not."""
THREE_S = 14 * MINUTE_S
REMEMBERED_S = HOUR_S
"""So long may Prometheus be away before an open anomaly is forgotten, and told anew."""
_KEY = f"{ANOMALY}, {SCOPE}, {FEATURE}"
_ON_SCOPE = f"on ({SCOPE}, {FEATURE})"


def groups(slo: Slo, clock: Clock) -> tuple[Group, ...]:
    """List the groups in the order in which they read each other."""
    return (
        Group("spanmeter-anomaly-baselines", BASELINE_INTERVAL_S, _baselines(slo, clock)),
        Group(
            "spanmeter-anomalies",
            BUCKET_S,
            (
                *values(clock),
                *excluded(slo.exclusions, clock),
                _sigma(slo, clock),
                _breach(clock),
                _level(clock),
                _clean(slo, clock),
                *alerts(slo, clock),
            ),
        ),
    )


def _baselines(slo: Slo, clock: Clock) -> tuple[Recording, ...]:
    days = clock.range(BASELINE_DAYS * DAY_S)
    week = learned(slo.exclusions, clock, over=days)
    calls = f'{series.ANOMALY_VALUE}{{{ANOMALY}="calls"}}[{days}]'
    by = f"by ({SCOPE}, {FEATURE})"
    return (
        Recording(
            series.ANOMALY_MEAN,
            f"avg_over_time({week}) and count_over_time({week}) >= {MIN_VALUES}",
        ),
        Recording(series.ANOMALY_STDDEV, _stddev(week)),
        Recording(series.ANOMALY_VOLUME, f"sum {by} (sum_over_time({calls}))"),
        Recording(
            series.ANOMALY_WARM_UP,
            f"clamp_min({WARM_UP_HOURS} - sum {by} (count_over_time({calls}))"
            f" * {BUCKET_S} / {HOUR_S}, 0)",
        ),
        *_seasons(slo, clock),
    )


def _stddev(week: str) -> str:
    return _at_least_the_floors(f"stddev_over_time({week})", series.ANOMALY_MEAN)


def _at_least_the_floors(stddev: str, mean: str) -> str:
    floors = "\n  or ".join(
        f'label_replace(0 * {mean}{{{ANOMALY}="{name}"}} + {floor:g}, "of", "floor", "", "")'
        for name, floor in STDDEV_FLOOR.items()
    )
    share = f'label_replace({STDDEV_FLOOR_RATIO} * {mean}, "of", "mean", "", "")'
    return f"max by ({_KEY}) (\n  {stddev}\n  or {share}\n  or {floors}\n)"


def _seasons(slo: Slo, clock: Clock) -> tuple[Recording, ...]:
    # They hold until the next evaluation, so they look as much further.
    around = clock.range(2 * SEASON_S + BASELINE_INTERVAL_S)
    ahead_s = SEASON_S + BASELINE_INTERVAL_S + LEARNED_LATE_S

    def of_days(what: str, function: str, matchers: str = "") -> str:
        same_time = learned(slo.exclusions, clock, matchers=matchers, over=around)
        days = "\n  or ".join(
            f"label_replace({function}_over_time({same_time} offset"
            f' {clock.range(day * DAY_S - ahead_s)}), "day", "{day}", "", "")'
            for day in range(1, BASELINE_DAYS + 1)
        )
        return f"{what} by ({_KEY}) (\n  {days}\n)"

    calls = f'{{{ANOMALY}="calls"}}'
    return (
        Recording(series.ANOMALY_SEASON_HIGH, of_days("max", "max")),
        Recording(series.ANOMALY_SEASON_LOW, of_days("min", "min", calls)),
        Recording(
            series.ANOMALY_SEASON_MEAN,
            f"{of_days('avg', 'avg', calls)}\n"
            f"  and {of_days('count', 'avg', calls)} >= {SEASON_MIN_DAYS}",
        ),
        Recording(
            series.ANOMALY_SEASON_STDDEV,
            _at_least_the_floors(of_days("stddev", "avg", calls), series.ANOMALY_SEASON_MEAN)
            + f"\n  and {series.ANOMALY_SEASON_MEAN}",
        ),
    )


def latest(baseline: str, clock: Clock) -> str:
    """Read what the slower group recorded; one evaluation that was missed does no harm."""
    return f"last_over_time({baseline}[{clock.range(2 * BASELINE_INTERVAL_S)}])"


def _sigma(slo: Slo, clock: Clock) -> Recording:
    mean, stddev = latest(series.ANOMALY_MEAN, clock), latest(series.ANOMALY_STDDEV, clock)
    of_all = f'{series.ANOMALY_VOLUME}{{{SCOPE}="all"}}'
    is_covered = f"{latest(series.ANOMALY_VOLUME, clock)} >= {MIN_CALLS} or {latest(of_all, clock)}"
    season_mean = latest(series.ANOMALY_SEASON_MEAN, clock)
    season_stddev = latest(series.ANOMALY_SEASON_STDDEV, clock)
    # Where day and night differ, no traffic at all is within 2 deviations of the week's mean:
    # fewer calls are held against the same time of its days.
    return Recording(
        series.ANOMALY_SIGMA,
        f"(({series.ANOMALY_VALUE} - {season_mean}) / {season_stddev} < 0\n"
        f"  or ({series.ANOMALY_VALUE} - {mean}) / {stddev})\n"
        f"  and {_ON_SCOPE} {latest(series.ANOMALY_WARM_UP, clock)} == 0\n"
        f"  and {_ON_SCOPE} ({is_covered})\n"
        f"  unless on () {series.BOOKS_BEHIND}{_unless_excluded(slo)}",
    )


def _unless_excluded(slo: Slo) -> str:
    return f"\n  unless {series.ANOMALY_EXCLUDED}" if slo.exclusions else ""


def _breach(clock: Clock) -> Recording:
    value, sigma, mean = (
        series.ANOMALY_VALUE, series.ANOMALY_SIGMA, latest(series.ANOMALY_MEAN, clock),
    )  # fmt: skip
    high, low, season = (
        latest(each, clock)
        for each in (
            series.ANOMALY_SEASON_HIGH,
            series.ANOMALY_SEASON_LOW,
            series.ANOMALY_SEASON_MEAN,
        )
    )
    calls = f'{{{ANOMALY}="calls"}}'
    counted = f'{value}{{{ANOMALY}=~"errors|drift"}} * {_ON_SCOPE} group_left {value}{calls}'
    return Recording(
        series.ANOMALY_BREACH,
        f"({sigma} > {SIGMAS}\n"
        f"    and {value} > {HIGH_RATIO} * {mean}\n"
        f"    unless {value} <= {SEASON_RATIO} * {high}\n"
        f"    unless {counted} < {MIN_COUNTED})\n"
        f"or (-{sigma}{calls} > {SIGMAS}\n"
        f"    and {value} < {LOW_RATIO} * (({season} or {mean}) >= {LOW_MIN_CALLS})\n"
        f"    unless {value} >= {LOW_RATIO} * {low})",
    )


def _level(clock: Clock) -> Recording:
    # 0: none, 1 to 3: as severe as it ever was. It is always there, so that a gap does not end it.
    breach, level = series.ANOMALY_BREACH, series.ANOMALY_LEVEL
    two, three = clock.range(TWO_S), clock.range(THREE_S)
    remembered = f"last_over_time({level}[{clock.range(REMEMBERED_S)}])"
    before = f"{remembered} > 0"
    severe = (
        f"(({breach} unless {before}) or min_over_time({breach}[{two}]))\n"
        f"    and count_over_time({breach}[{two}]) >= 2"
    )
    is_over = (
        f"count_over_time({level}[{three}]) >= 2\n"
        f"    unless count_over_time({breach}[{three}]) > 0\n"
        f"    unless on () count_over_time({series.BOOKS_BEHIND}[{three}])"
    )
    return Recording(
        level,
        f"max by ({_KEY}) (\n"
        f"  clamp(ceil({severe}) - {SIGMAS}, 1, 3)\n"
        f'  or label_replace({before} unless (\n    {is_over}), "of", "before", "", "")\n'
        f'  or label_replace(0 * {series.ANOMALY_VALUE}, "of", "none", "", "")\n'
        f'  or label_replace(0 * ({before}), "of", "over", "", "")\n)',
    )


def _clean(slo: Slo, clock: Clock) -> Recording:
    # One evaluation late, so that the first of the two breaches that open an anomaly is left out.
    # What was anomalous at this time yesterday, too, is learned: nothing stays unusual for ever.
    level, late = series.ANOMALY_LEVEL, clock.range(LEARNED_LATE_S)
    return Recording(
        series.ANOMALY_CLEAN,
        f"{series.ANOMALY_VALUE} offset {late}\n"
        f"  unless ({level} > 0 unless {level} offset {clock.range(DAY_S)} > 0)\n"
        f"  unless on () count_over_time({series.BOOKS_BEHIND}[{clock.range(2 * LEARNED_LATE_S)}])"
        f"{_unless_excluded(slo)}",
    )
