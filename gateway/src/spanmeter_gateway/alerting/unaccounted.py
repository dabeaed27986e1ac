"""Calls that are not accounted for as they should be: no feature, no room, no price, no usage."""

from spanmeter.grammar import UNTAGGED
from spanmeter_gateway.alerting import places, series
from spanmeter_gateway.alerting.features import INTERVAL_S
from spanmeter_gateway.alerting.promql import (
    FEATURE,
    MODEL,
    ON_FEATURE,
    PROVIDER,
    TEAM,
    at_least,
    told,
)
from spanmeter_gateway.alerting.rule import HOUR_S, MINUTE_S, Alert, Clock, Group, Recording
from spanmeter_gateway.alerting.slo import Slo
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.names import label

UNTAGGED_CALLS = 100
"""In an hour: fewer say little of a share."""
OVERFLOW_CALLS = 10
"""In 10 minutes: a few are folded whenever a new value waits for its place."""
UNPRICED_CALLS = 5
"""In 6 hours: who tries a model once or twice needs no ticket."""
UNMETERED_RATIO = 0.1
"""Of a feature's calls: stopped streams are a few percent; beyond a tenth its cost misleads."""
UNMETERED_CALLS = 10
"""In an hour: fewer say little of a share."""
SETTLED_S = 15 * MINUTE_S
_LABEL = label(names.LABEL)
_REASON = label(names.REASON)
_COUNT = '{{ $value | printf "%.0f" }}'
_SHARE = "{{ $value | humanizePercentage }}"


def groups(slo: Slo, clock: Clock) -> tuple[Group, ...]:
    """List what is recorded, and the alerts."""
    alerts = (
        _untagged(slo, clock),
        _label_overflow(slo, clock),
        _unpriced(slo, clock),
        _unmetered(clock),
    )
    return (
        Group("spanmeter-unaccounted-rates", INTERVAL_S, _recorded(clock)),
        Group("spanmeter-unaccounted", MINUTE_S, alerts),
    )


def _recorded(clock: Clock) -> tuple[Recording, ...]:
    def rate(counter: names.Metric, labels: str) -> str:
        window = clock.range(5 * MINUTE_S)
        return f"sum by ({labels}) (rate({counter.prometheus_name}[{window}]))"

    return (
        Recording(series.UNPRICED_RATE_5M, rate(names.UNPRICED, f"{PROVIDER}, {MODEL}, {_REASON}")),
        Recording(series.UNMETERED_RATE_5M, rate(names.UNMETERED, f"{FEATURE}, {_REASON}")),
    )


def _untagged(slo: Slo, clock: Clock) -> Alert:
    hour = clock.range(HOUR_S)
    calls = f"sum(sum_over_time({series.CALLS_RATE_5M}[{hour}]))"
    untagged = f'sum(sum_over_time({series.CALLS_RATE_5M}{{{FEATURE}="{UNTAGGED}"}}[{hour}]))'
    return Alert(
        alert="SpanmeterUntaggedShareHigh",
        expr=f"{untagged} / {calls} > {slo.untagged_ratio:g}\n"
        f"  and {at_least(UNTAGGED_CALLS, f'{calls} * {clock.seconds(INTERVAL_S)}')}",
        severity="ticket",
        summary=f"{_SHARE} of the calls name no feature",
        description=f"{_SHARE} of the calls of the last hour name no feature; allowed are "
        f"{slo.untagged_ratio * 100:g}%. Their cost is nobody's. Applications name it in the "
        "header X-Feature; the keys and providers of these calls say whose they are.",
        dashboard=places.FEATURES,
        for_s=SETTLED_S,
        labels={TEAM: slo.default_team},
    )


def _label_overflow(slo: Slo, clock: Clock) -> Alert:
    folded = f"increase({names.LABEL_OVERFLOW.prometheus_name}[{clock.range(10 * MINUTE_S)}])"
    return Alert(
        alert="SpanmeterLabelOverflow",
        expr=f"sum by ({_LABEL}) ({folded}) > {OVERFLOW_CALLS}",
        severity="ticket",
        summary=f"Label {{{{ $labels.{_LABEL} }}}} is full: calls are counted under {names.FOLDED}",
        description=f"{_COUNT} calls of the last 10 minutes had values of "
        f"{{{{ $labels.{_LABEL} }}}} that found no room, and are counted under "
        f"{names.FOLDED}; told are over {OVERFLOW_CALLS}, for 15 minutes. Sums stay exact, "
        "breakdowns do not.",
        dashboard=places.PIPELINE,
        # A value that is new waits for 3 minutes of traffic, and the window is 10.
        for_s=SETTLED_S,
        labels={TEAM: slo.default_team},
    )


def _unpriced(slo: Slo, clock: Clock) -> Alert:
    window = clock.range(6 * HOUR_S)
    counted = f"sum_over_time({series.UNPRICED_RATE_5M}[{window}]) * {clock.seconds(INTERVAL_S)}"
    model = f"{{{{ $labels.{PROVIDER} }}}}/{{{{ $labels.{MODEL} }}}}"
    return Alert(
        alert="SpanmeterUnpricedCalls",
        expr=at_least(UNPRICED_CALLS, counted),
        severity="ticket",
        summary=f"No price for {model}: cost is understated",
        description=f"{_COUNT} calls of {model} in the last 6 hours have no cost "
        f"({{{{ $labels.{_REASON} }}}}); told are {UNPRICED_CALLS} and more. All sums of money "
        "are too low by them, and past calls are not priced again: add a row to `prices` in "
        "the gateway's configuration.",
        dashboard=places.MODELS,
        labels={TEAM: slo.default_team},
    )


def _unmetered(clock: Clock) -> Alert:
    hour = clock.range(HOUR_S)
    unmetered = f"sum_over_time({series.UNMETERED_RATE_5M}[{hour}])"
    calls = f"sum_over_time({series.CALLS_RATE_5M}[{hour}])"
    counted = f"{unmetered} * {clock.seconds(INTERVAL_S)}"
    return Alert(
        alert="SpanmeterUnmeteredCalls",
        expr=told(
            f"{unmetered} / {ON_FEATURE} group_left () {calls} > {UNMETERED_RATIO:g}\n"
            f"  and {at_least(UNMETERED_CALLS, counted)}"
        ),
        severity="ticket",
        summary=f"{_SHARE} of {{{{ $labels.{FEATURE} }}}}'s calls have no known usage "
        f"({{{{ $labels.{_REASON} }}}})",
        description=f"{_SHARE} of the calls of {{{{ $labels.{FEATURE} }}}} in the last hour "
        f"were answered without a known usage ({{{{ $labels.{_REASON} }}}}); allowed are "
        f"{UNMETERED_RATIO * 100:g}%. Their tokens and cost are in no sum.",
        dashboard=places.of_feature(places.FEATURE),
        for_s=SETTLED_S,
    )
