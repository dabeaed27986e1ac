"""Alerts on what is promised of each feature's calls: that they do not fail, and what they last.

Burn rates are those of the Google SRE workbook, chapter "Alerting on SLOs", section "Multiwindow,
Multi-Burn-Rate Alerts": 1 spends the error budget of 30 days in 30 days. The longer window says
that it matters, the shorter one that it still goes on.
"""

from typing import NamedTuple

from spanmeter_gateway.alerting import places, series
from spanmeter_gateway.alerting.features import (
    INTERVAL_S,
    LONG_INTERVAL_S,
    WINDOW_S,
    failed_calls,
)
from spanmeter_gateway.alerting.promql import (
    BY_FEATURE,
    FEATURE,
    ON_FEATURE,
    OUTCOME,
    asked,
    at_least,
    told,
    up_to_date,
)
from spanmeter_gateway.alerting.rule import MINUTE_S, Alert, Clock, Group
from spanmeter_gateway.alerting.slo import Slo
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.names import Metric

FLAP_S = 15 * MINUTE_S
"""Longer than a backlog of some minutes holds the rates, so that it does not page twice."""
OUTAGE_RATIO = 0.9
"""Is too much under any objective: 14.4 times the budget of 90 % would be more than all calls."""
MIN_UNSERVED_CALLS = 3
MIN_QUANTILE_CALLS = 20
"""In 10 minutes; of fewer calls the slowest one is the p95."""
_FEATURE = f"{{{{ $labels.{FEATURE} }}}}"
_RATIO = "{{ $value | humanizePercentage }}"
_SECONDS = "{{ $value | humanizeDuration }}"


class Burn(NamedTuple):
    """A burn rate that is over the limit when it is so in both windows."""

    factor: float
    short: str
    long: str


FAST = (Burn(14.4, "5m", "1h"), Burn(6, "30m", "6h"))
SLOW = (Burn(3, "2h", "1d"), Burn(1, "6h", "3d"))


def groups(slo: Slo, clock: Clock) -> tuple[Group, ...]:
    """List the alerts on objectives."""
    alerts = (_fast(slo, clock), _all_failing(clock), _latency(clock), _first_chunk(clock))
    return (
        Group("spanmeter-objectives", INTERVAL_S, alerts),
        Group("spanmeter-objectives-long", LONG_INTERVAL_S, (_slow(slo, clock),)),
    )


def _fast(slo: Slo, clock: Clock) -> Alert:
    burns = [_held(burn, _burning(burn, slo, clock), clock) for burn in FAST]
    return Alert(
        alert="SpanmeterErrorBudgetBurnFast",
        expr=told(f"\n  or {ON_FEATURE} ".join(burns)),
        severity="page",
        summary=f"{_FEATURE}: {_RATIO} of the calls fail",
        description=_burn_text("in the last minutes", clock),
        dashboard=places.of_feature(places.SLO),
        for_s=2 * MINUTE_S,
        keep_firing_for_s=FLAP_S,
    )


def _slow(slo: Slo, clock: Clock) -> Alert:
    # Not held: over hours each call counts once, whenever it was entered.
    burns = [f"({_burning(burn, slo, clock)})" for burn in SLOW]
    return Alert(
        alert="SpanmeterErrorBudgetBurnSlow",
        expr=told(f"\n  or {ON_FEATURE} ".join(burns)),
        severity="ticket",
        summary=f"{_FEATURE}: {_RATIO} of the calls fail, for hours",
        description=_burn_text("in the last hours", clock),
        dashboard=places.of_feature(places.SLO),
        for_s=15 * MINUTE_S,
    )


def _burning(burn: Burn, slo: Slo, clock: Clock) -> str:
    limit = f"clamp_max({burn.factor:g} * {series.ERROR_BUDGET}, {OUTAGE_RATIO})"
    long_enough = at_least(slo.min_failed_calls, failed_calls(burn.long, clock))
    return (
        f"{series.fault_ratio(burn.short)} > {ON_FEATURE} {limit}\n"
        f"  and {ON_FEATURE} {series.fault_ratio(burn.long)} > {ON_FEATURE} {limit}\n"
        f"  and {ON_FEATURE} {long_enough}"
    )


def _held(burn: Burn, expr: str, clock: Clock) -> str:
    # The ratio of 5 minutes is one recorded value, the others read many.
    window_s = WINDOW_S.get(burn.short)
    return f"({up_to_date(expr, clock.range(window_s) if window_s else '')})"


def _burn_text(when: str, clock: Clock) -> str:
    budget, left = f"{series.ERROR_BUDGET}{{}}", f"{series.BUDGET_LEFT}{{}}"
    month = clock.seconds(WINDOW_S["30d"])
    return (
        f"{_RATIO} of its calls {when} failed by a fault of the provider or the gateway"
        + asked(budget, "; {{ . | first | value | humanizePercentage }} may")
        + asked(
            f"$value / {budget}",
            ': {{ . | first | value | printf "%.1f" }} times what the budget of 30 days allows',
        )
        + "."
        + asked(
            f"{month} * {left} * {budget} / $value",
            "{{ $left_s := . | first | value }}{{ if gt $left_s 0.0 }} What is left of it lasts "
            "{{ $left_s | humanizeDuration }} at this rate.{{ else }} It is spent.{{ end }}",
        )
    )


def _all_failing(clock: Clock) -> Alert:
    """Catch the outage of a feature with too few calls for a burn rate.

    A ticket: ten calls an hour page by the burn rate, and three that fail at night wake nobody.
    """
    range_ = clock.range(WINDOW_S["30m"])
    served = f'max_over_time({series.OUTCOME_RATE_5M}{{{OUTCOME}="ok"}}[{range_}]) > 0'
    failing = (
        f"{at_least(MIN_UNSERVED_CALLS, failed_calls('30m', clock))}\n"
        f"  unless {ON_FEATURE} ({served})"
    )
    return Alert(
        alert="SpanmeterAllCallsFailing",
        expr=told(up_to_date(failing, range_)),
        severity="ticket",
        summary=f"{_FEATURE}: no call was served for 30 minutes",
        description='{{ $value | printf "%.0f" }} calls failed by a fault of the provider or the '
        "gateway in 30 minutes, and none was served.",
        dashboard=places.of_feature(places.FEATURE),
        for_s=10 * MINUTE_S,
    )


def _latency(clock: Clock) -> Alert:
    calls = _counted(names.CALL_DURATION, clock, f'{{{OUTCOME}="ok"}}')
    return Alert(
        alert="SpanmeterLatencyHigh",
        expr=_over(series.CALL_P95_10M, series.CALL_OBJECTIVE, calls, clock=clock),
        severity="ticket",
        summary=f"{_FEATURE}: p95 of calls is {_SECONDS}",
        description=f"5 of 100 calls that were served last over {_SECONDS}"
        + _seconds_asked(series.CALL_OBJECTIVE),
        dashboard=places.of_feature(places.FEATURE),
        for_s=10 * MINUTE_S,
    )


def _first_chunk(clock: Clock) -> Alert:
    latest = _counted(names.TIME_TO_FIRST, clock)
    v1_41 = _counted(names.OPERATION_TIME_TO_FIRST, clock)
    chunks = f"({latest} or {ON_FEATURE} {v1_41})"
    return Alert(
        alert="SpanmeterFirstChunkSlow",
        expr=_over(series.FIRST_CHUNK_P95_10M, series.FIRST_CHUNK_OBJECTIVE, chunks, clock=clock),
        severity="ticket",
        summary=f"{_FEATURE}: p95 of the time to a stream's first chunk is {_SECONDS}",
        description=f"5 of 100 streams begin after over {_SECONDS}"
        + _seconds_asked(series.FIRST_CHUNK_OBJECTIVE),
        dashboard=places.of_feature(places.FEATURE),
        for_s=10 * MINUTE_S,
    )


def _seconds_asked(objective: str) -> str:
    return asked(f"{objective}{{}}", "; {{ . | first | value | humanizeDuration }} may.")


def _counted(metric: Metric, clock: Clock, matchers: str = "") -> str:
    range_ = clock.range(10 * MINUTE_S)
    return f"sum {BY_FEATURE} (increase({metric.prometheus_name}_count{matchers}[{range_}]))"


def _over(p95: str, objective: str, calls: str, *, clock: Clock) -> str:
    enough = at_least(MIN_QUANTILE_CALLS, calls)
    over = f"{p95} > {ON_FEATURE} {objective}\n  and {ON_FEATURE} {enough}"
    return told(up_to_date(over, clock.range(10 * MINUTE_S)))
