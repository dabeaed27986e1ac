"""Features in one world for the alerts on objectives: how their traffic is made and asked for."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from tests.alerting_rules import (
    Case,
    Expectation,
    Labels,
    Series,
    Span,
    calls,
    durations,
    every_minute,
    fires,
    first_chunks,
    quiet,
    restarted,
    unscraped,
)

from spanmeter_gateway.alerting.slo import Promise, Slo, Team
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.names import Metric

FAST = "SpanmeterErrorBudgetBurnFast"
SLOW = "SpanmeterErrorBudgetBurnSlow"
FAILING = "SpanmeterAllCallsFailing"
LATENCY = "SpanmeterLatencyHigh"
CHUNK = "SpanmeterFirstChunkSlow"
CALLER = "SpanmeterCallerErrorsHigh"
DENIED = "SpanmeterDenialsHigh"
CANCELLED = "SpanmeterCancellationsHigh"
PAGE = {"severity": "page", "team": "platform"}
TICKET = {"severity": "ticket", "team": "platform"}
STRANGE = 'naïve "shop" \\ (v1.0) [a|b]+ 日本 $'
STRANGE_LIKE = STRANGE.replace("1.0", "1x0")
FINDERS = "search 'n' \"find\""
STRICT = Promise(
    error_budget=Decimal("0.001"),
    p95_s=5,
    first_chunk_p95_s=1.28,
    caller_error_ratio=0.1,
    denied_ratio=0.01,
    cancelled_ratio=0.1,
)
SLO = Slo(
    promise_by_feature={
        "strict": STRICT,
        "loose*": Promise(error_budget=Decimal("0.1"), cancelled_ratio=1),
        "strict-*": STRICT,
        "strict-not": Promise(),
        STRANGE: STRICT,
    },
    teams=(Team("payments", ("billing", "billing-*")), Team(FINDERS, ("find", STRANGE))),
)
Expected = Callable[[str], Expectation]
END = "120m"


def mixed(minutes: int = 120, **per_minute: float) -> dict[str, list[Span]]:
    """Make so many calls of each outcome in each minute."""
    return {outcome: [every_minute(minutes, many)] for outcome, many in per_minute.items()}


def taking(feature: str, *spans: Mapping[float, float]) -> tuple[Series, ...]:
    """Make served calls for 40 minutes each time: up to these bounds, so many of each a minute."""
    by_bound = {bound: [every_minute(40, each[bound]) for each in spans] for bound in spans[0]}
    total = [every_minute(40, sum(each.values())) for each in spans]
    return (*calls(feature, {"ok": total}), *durations(feature, by_bound))


def beginning(
    feature: str, by_bound: Mapping[float, float], metric: Metric = names.TIME_TO_FIRST
) -> tuple[Series, ...]:
    """Make streams whose first chunk takes up to these bounds, so many of each a minute."""
    spans = {bound: [every_minute(120, many)] for bound, many in by_bound.items()}
    return (*calls(feature, mixed(ok=10)), *first_chunks(feature, spans, metric))


def case(name: str, feature: str, series: Sequence[Series], *expected: Expected) -> Case:
    """Put a feature's case together; what is expected is asked of that feature alone."""
    return Case(name, series, [each(feature) for each in expected])


def firing(at: str, alert: str, *who: Labels) -> Expected:
    return lambda feature: fires(at, alert, *who, feature=feature)


def silent(alerts: str = ".+", until: str = END) -> Expected:
    return lambda feature: quiet(until, alerts, feature=feature)


OUTAGE = {
    "ok": [every_minute(30, 100), every_minute(40, 50), every_minute(50, 100)],
    "provider_error": [every_minute(30, 0), every_minute(40, 50), every_minute(50, 0)],
}
# Healthy at first with ten times the calls, so that the burn over 6 hours is low.
PAST_HOUR = 10000
GAP = {
    "ok": [every_minute(40, 100), unscraped(20, 100), every_minute(60, 100)],
    "provider_error": [every_minute(40, 0.2), unscraped(20, 0.2), every_minute(60, 0.2)],
}
RESTART = {
    "ok": [every_minute(60, 100), restarted(60, 100)],
    "provider_error": [every_minute(60, 0.2), restarted(60, 0.2)],
}
ONE = [every_minute(60, 0), every_minute(1, 1), every_minute(59, 0)]


def after_a_healthy_hour(faults_per_minute: float, of: float = 100) -> dict[str, list[Span]]:
    return {
        "ok": [every_minute(30, PAST_HOUR), every_minute(90, of - faults_per_minute)],
        "provider_error": [every_minute(30, 0), every_minute(90, faults_per_minute)],
    }
