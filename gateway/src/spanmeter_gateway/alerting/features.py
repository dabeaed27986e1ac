"""The recorded series of each feature: rates, error ratios over all windows, promises, the team.

Raw series are read for 5 and 10 minutes only; a longer window adds up what was recorded, one
series a feature instead of thousands. A ratio is one of two sums over the same moments, so it is
that of the calls, never a mean of ratios.
"""

from collections.abc import Callable
from dataclasses import replace

from spanmeter_gateway.alerting import series
from spanmeter_gateway.alerting.promql import (
    BY_FEATURE,
    FEATURE,
    ON_FEATURE,
    OUTCOME,
    TEAM,
    by_feature,
    fits,
    text,
)
from spanmeter_gateway.alerting.rule import DAY_S, HOUR_S, MINUTE_S, Clock, Group, Recording
from spanmeter_gateway.alerting.slo import Promise, Slo
from spanmeter_gateway.telemetry import names

INTERVAL_S = 30
LONG_INTERVAL_S = 2 * MINUTE_S
BEHIND_S = 60
"""docs/operations.md, "Rates after a backlog"."""
FAULTS = "provider_error|gateway_error"
ELIGIBLE = f"ok|{FAULTS}"
"""Not the caller's mistakes, denials and cancellations: no service can promise anything of them."""
WINDOW_S = {
    "30m": 30 * MINUTE_S,
    "1h": HOUR_S,
    "2h": 2 * HOUR_S,
    "6h": 6 * HOUR_S,
    "1d": DAY_S,
    "3d": 3 * DAY_S,
    "30d": 30 * DAY_S,
}
SHORT_WINDOWS = ("30m", "1h", "2h")
"""Read every recorded rate; 6h and 1d one in 5 minutes, 3d and 30d one sum of an hour each hour.

So far apart that each call is in one of them, and few enough to be read by all features.
"""
MIDDLE_WINDOWS = ("6h", "1d")
LONG_WINDOWS = ("3d", "30d")
_CALLS = names.CALLS.prometheus_name
_COST = names.COST.prometheus_name


def groups(slo: Slo, clock: Clock) -> tuple[Group, ...]:
    """List the groups in the order in which they read each other."""
    return (
        Group("spanmeter-features", INTERVAL_S, (*_rates(clock), *_promises(slo))),
        Group(
            "spanmeter-features-long",
            LONG_INTERVAL_S,
            (
                *(_ratio(window, clock) for window in MIDDLE_WINDOWS + LONG_WINDOWS),
                _left(),
                _cost_per_hour(clock),
            ),
        ),
    )


def failed_calls(window: str, clock: Clock) -> str:
    """Count the failed calls of a window, by its name."""
    return _added_up(window, clock, of=(series.FAULTS_RATE_5M, series.FAULTS_1H))


def calls_of_an_hour(recorded_rate: str, clock: Clock) -> str:
    """Count calls by their recorded rate, each value of which stands for its interval.

    Not the average times the hour: a feature that is minutes old made no more calls than it made.
    """
    return f"sum_over_time({recorded_rate}[{clock.range(HOUR_S)}]) * {clock.seconds(INTERVAL_S)}"


def _rates(clock: Clock) -> tuple[Recording, ...]:
    window = clock.range(5 * MINUTE_S)
    lag = names.BOOKS_LAG.prometheus_name
    by_outcome = series.OUTCOME_RATE_5M
    return (
        Recording(
            series.BOOKS_BEHIND,
            f"max(max_over_time({lag}[{window}])) > {clock.seconds(BEHIND_S)}",
        ),
        Recording(by_outcome, f"sum by ({FEATURE}, {OUTCOME}) (rate({_CALLS}[{window}]))"),
        Recording(series.CALLS_RATE_5M, f"sum {BY_FEATURE} ({by_outcome})"),
        Recording(series.ELIGIBLE_RATE_5M, _or_zero(ELIGIBLE)),
        Recording(series.FAULTS_RATE_5M, _or_zero(FAULTS)),
        Recording(series.COST_RATE_5M, f"sum {BY_FEATURE} (rate({_COST}[{window}]))"),
        Recording(
            series.fault_ratio("5m"),
            f"{series.FAULTS_RATE_5M} / ({series.ELIGIBLE_RATE_5M} > 0)",
        ),
        Recording(series.FAULTS_1H, calls_of_an_hour(series.FAULTS_RATE_5M, clock)),
        Recording(series.ELIGIBLE_1H, calls_of_an_hour(series.ELIGIBLE_RATE_5M, clock)),
        *(_ratio(window, clock) for window in SHORT_WINDOWS),
        Recording(
            series.CALL_P95_10M,
            _quantile(clock, names.CALL_DURATION.prometheus_name, f'{OUTCOME}="ok"'),
        ),
        _first_chunk(clock),
    )


def _or_zero(outcomes: str) -> str:
    # A feature without such calls is at 0, not absent.
    return (
        f'sum {BY_FEATURE} ({series.OUTCOME_RATE_5M}{{{OUTCOME}=~"{outcomes}"}})\n'
        f"  or {ON_FEATURE} 0 * {series.CALLS_RATE_5M}"
    )


def _ratio(window: str, clock: Clock) -> Recording:
    eligible = _added_up(window, clock, of=(series.ELIGIBLE_RATE_5M, series.ELIGIBLE_1H))
    return Recording(
        series.fault_ratio(window), f"{failed_calls(window, clock)}\n  / ({eligible} > 0)"
    )


def _added_up(window: str, clock: Clock, *, of: tuple[str, str]) -> str:
    rate_5m, sum_1h = of
    range_ = clock.range(WINDOW_S[window])
    if window == "1h":
        return sum_1h
    if window in LONG_WINDOWS:
        return f"sum_over_time({sum_1h}[{range_}:{clock.range(HOUR_S)}])"
    step_s = 5 * MINUTE_S if window in MIDDLE_WINDOWS else INTERVAL_S
    step = f":{clock.range(step_s)}" if window in MIDDLE_WINDOWS else ""
    return f"sum_over_time({rate_5m}[{range_}{step}]) * {clock.seconds(step_s)}"


def _quantile(clock: Clock, metric: str, matchers: str = "") -> str:
    chosen = f"{metric}_bucket{{{matchers}}}" if matchers else f"{metric}_bucket"
    window = clock.range(10 * MINUTE_S)
    return f"histogram_quantile(0.95, sum by (le, {FEATURE}) (rate({chosen}[{window}]))) >= 0"


def _first_chunk(clock: Clock) -> Recording:
    # The metric's name depends on the generation of the conventions that the gateway prints.
    latest = _quantile(clock, names.TIME_TO_FIRST.prometheus_name)
    v1_41 = _quantile(clock, names.OPERATION_TIME_TO_FIRST.prometheus_name)
    return Recording(series.FIRST_CHUNK_P95_10M, f"({latest})\n  or {ON_FEATURE} ({v1_41})")


def _promises(slo: Slo) -> tuple[Recording, ...]:
    return (
        Recording(series.TEAM_INFO, _teams(slo)),
        _promise(slo, series.ERROR_BUDGET, lambda promise: str(promise.error_budget)),
        _promise(slo, series.CALL_OBJECTIVE, lambda promise: f"{promise.p95_s:g}"),
        _promise(
            slo, series.FIRST_CHUNK_OBJECTIVE, lambda promise: f"{promise.first_chunk_p95_s:g}"
        ),
        _limit(slo, "caller_error", lambda promise: f"{promise.caller_error_ratio:g}"),
        _limit(slo, "policy_denied", lambda promise: f"{promise.denied_ratio:g}"),
        _limit(slo, "cancelled", lambda promise: f"{promise.cancelled_ratio:g}"),
    )


def _promise(slo: Slo, record: str, read: Callable[[Promise], str]) -> Recording:
    values = {name: read(promise) for name, promise in slo.promise_by_feature.items()}
    return Recording(record, by_feature(values, otherwise=read(slo.promise)))


def _limit(slo: Slo, outcome: str, read: Callable[[Promise], str]) -> Recording:
    return replace(_promise(slo, series.OUTCOME_LIMIT, read), labels={OUTCOME: outcome})


def _teams(slo: Slo) -> str:
    parts = [
        _team(team.name, f"{series.CALLS_RATE_5M}{{{fits(team.features)}}}") for team in slo.teams
    ]
    parts.append(_team(slo.default_team, series.CALLS_RATE_5M))
    return f"\n  or {ON_FEATURE} ".join(parts)


def _team(name: str, features: str) -> str:
    return f'label_replace(group {BY_FEATURE} ({features}), "{TEAM}", {text(name)}, "", "")'


def _left() -> Recording:
    return Recording(
        series.BUDGET_LEFT,
        f"1 - {series.fault_ratio('30d')} / {ON_FEATURE} {series.ERROR_BUDGET}",
    )


def _cost_per_hour(clock: Clock) -> Recording:
    range_ = clock.range(HOUR_S)
    return Recording(series.COST_RATE_1H, f"avg_over_time({series.COST_RATE_5M}[{range_}])")
