"""What anomalies are sought in: cost, latency, errors, calls and drift, each of 5 minutes.

One family of series with the labels `anomaly`, `scope` (`feature`, or `all` of them together) and
the feature, so that everything that follows is one rule for all of them.
"""

from spanmeter_gateway.alerting import series
from spanmeter_gateway.alerting.promql import FEATURE, OUTCOME
from spanmeter_gateway.alerting.rule import MINUTE_S, Clock, Recording
from spanmeter_gateway.alerting.slo import AnomalyMetric
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.names import Metric, label

ANOMALY = "anomaly"
SCOPE = "scope"
BUCKET_S = 5 * MINUTE_S
LATENCY_S = 15 * MINUTE_S
MIN_CALLS = 20
"""In a bucket with fewer, a share or a percentile is chance: it has no value at all."""
_ASKED = label(names.REQUEST_MODEL)
_ANSWERED = label(names.RESPONSE_MODEL)
_NAME = "model"
# Answers name a dated snapshot of what was asked for. Source: tests/recordings (`gpt-4o-mini` and
# `gpt-4o-mini-2024-07-18`, `claude-3-5-sonnet-latest` and `claude-3-5-sonnet-20241022`,
# `gemini-embedding-001` and `models/gemini-embedding-001`, `text-embedding-ada-002-v2`).
_UNDATED = r"(?:.*/)?(.+?)(?:[-_:@](?:latest|\\d{3,8}|\\d{4}-\\d{2}-\\d{2})(?:-v\\d+)?)?"


def values(clock: Clock) -> tuple[Recording, ...]:
    """Record every value, first of each feature, then of all together."""
    return (
        _models(clock),
        *(
            Recording(
                series.ANOMALY_VALUE, expr, {ANOMALY: anomaly, SCOPE: "feature" if by else "all"}
            )
            for by in (FEATURE, "")
            for anomaly, expr in _values(by, clock).items()
        ),
    )


def _values(by: str, clock: Clock) -> dict[AnomalyMetric, str]:
    bucket = clock.seconds(BUCKET_S)
    least = f"{MIN_CALLS} / {bucket}"
    return {
        "cost": f"{bucket} * sum by ({by}) ({series.COST_RATE_5M})",
        "calls": f"{bucket} * sum by ({by}) ({series.CALLS_RATE_5M})",
        "errors": _share(
            series.FAULTS_RATE_5M,
            series.ELIGIBLE_RATE_5M,
            by=by,
            at_least=f"{MIN_CALLS} / {bucket}",
        ),
        "latency": _latency(by, clock),
        "drift": _share(_drifted(), series.MODELS_RATE_5M, by=by, at_least=least),
    }


def _share(part: str, whole: str, *, by: str, at_least: str) -> str:
    return (
        f"(sum by ({by}) ({part}) or on ({by}) 0 * sum by ({by}) ({whole}))\n"
        f"  / on ({by}) (sum by ({by}) ({whole}) >= {at_least})"
    )


def _latency(by: str, clock: Clock) -> str:
    # Over three buckets: a percentile of 5 minutes is mostly noise.
    window, bucket = clock.range(LATENCY_S), clock.seconds(BUCKET_S)
    served = f'{names.CALL_DURATION.prometheus_name}_bucket{{{OUTCOME}="ok"}}'
    counted = f'{names.CALL_DURATION.prometheus_name}_bucket{{{OUTCOME}="ok",le="+Inf"}}'
    le_by = f"le, {by}" if by else "le"
    return (
        f"histogram_quantile(0.95, sum by ({le_by}) (rate({served}[{window}])))\n"
        f"  and on ({by}) sum by ({by}) (rate({counted}[{window}])) >= {MIN_CALLS} / {bucket}"
    )


def _models(clock: Clock) -> Recording:
    # A rule that replaces the model is in the request model already: it is what was sent.
    latest, other = names.INFERENCE_DURATION, names.OPERATION_DURATION
    return Recording(
        series.MODELS_RATE_5M,
        f"{_pairs(latest, clock)}\n  or on ({FEATURE}) {_pairs(other, clock)}",
    )


def _pairs(metric: Metric, clock: Clock) -> str:
    unknown = f"|{names.FOLDED}"
    known = f'{_ASKED}!~"{unknown}",{_ANSWERED}!~"{unknown}"'
    rate = f"rate({metric.prometheus_name}_count{{{known}}}[{clock.range(BUCKET_S)}])"
    return f"sum by ({FEATURE}, {_ASKED}, {_ANSWERED}) ({rate})"


def _drifted() -> str:
    asked, answered = (
        f'label_replace({series.MODELS_RATE_5M}, "{_NAME}", "$1", "{which}", "{_UNDATED}")'
        for which in (_ASKED, _ANSWERED)
    )
    return f"{answered}\n  unless on ({FEATURE}, {_ASKED}, {_ANSWERED}, {_NAME}) {asked}"
