"""What dashboards read over long ranges: counters of calls with fewer series and fewer samples.

Each is a sum within one instance, whose counters begin and are lost together, so it is a counter
itself: it grows by what they grow by, and over an instance that comes, goes or begins anew
`increase` says the same of it as of them.
"""

from collections.abc import Iterable

from spanmeter_gateway.alerting import series
from spanmeter_gateway.alerting.features import ELIGIBLE, FAULTS
from spanmeter_gateway.alerting.promql import FEATURE, MODEL, OUTCOME, PROVIDER
from spanmeter_gateway.alerting.rule import MINUTE_S, Clock, Group, Recording
from spanmeter_gateway.alerting.slo import Slo
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.names import Metric, label

INTERVAL_S = 2 * MINUTE_S
SELDOM_S = 15 * MINUTE_S
"""Of the copies."""
KEPT = frozenset({names.FEATURE, names.TASK, names.PROVIDER, names.REQUEST_MODEL})
"""What dashboards filter by, beside the tags."""
ERROR = label(names.ERROR_TYPE)
REASON = label(names.REASON)
ANSWERED = label(names.RESPONSE_MODEL)
INPUT_CLASSES = "input|cache_read|cache_write"
OUTPUT_CLASSES = "output|reasoning"
"""The classes of tokens that a model reads, and those that it writes."""
TOKEN_CLASS = label(names.TOKEN_CLASS)
_WENT_WELL = f'{OUTCOME}="ok"'


def groups(_: Slo, __: Clock) -> tuple[Group, ...]:
    """List the sums and their copies; nothing in them depends on what is promised."""
    sums = (*_tagged(), *_waits(), *_reasons(), _recorded())
    copies = tuple(Recording(series.seldom(each.record), each.record) for each in sums)
    return (
        Group("spanmeter-sums", INTERVAL_S, sums),
        Group("spanmeter-sums-seldom", SELDOM_S, copies),
    )


def _tagged() -> Iterable[Recording]:
    calls, tokens = names.CALLS, names.TOKENS
    yield _all_tags(series.SUM_CALLS, calls)
    yield _all_tags(series.SUM_ELIGIBLE, calls, f'{OUTCOME}=~"{ELIGIBLE}"')
    yield _all_tags(series.SUM_FAULTS, calls, f'{OUTCOME}=~"{FAULTS}"')
    yield _all_tags(series.SUM_COST, names.COST)
    yield _all_tags(series.SUM_TOKENS, tokens)
    yield _all_tags(series.SUM_INPUT, tokens, f'{TOKEN_CLASS}=~"{INPUT_CLASSES}"')
    yield _all_tags(series.SUM_OUTPUT, tokens, f'{TOKEN_CLASS}=~"{OUTPUT_CLASSES}"')
    yield _all_tags(series.SUM_CACHE_READ, tokens, f'{TOKEN_CLASS}="cache_read"')
    yield _all_tags(series.SUM_ATTEMPTS, names.ATTEMPTS)


def _all_tags(record: str, metric: Metric, matcher: str = "") -> Recording:
    # The keys that are labels are the configuration's, so the others are named.
    dropped = sorted(label(each) for each in metric.attributes if each not in KEPT)
    selected = f"{metric.prometheus_name}{{{matcher}}}" if matcher else metric.prometheus_name
    return Recording(record, f"sum without ({', '.join(dropped)}) ({selected})")


def _waits() -> Iterable[Recording]:
    # Buckets are many: by feature, or by model, and not by both.
    waits = names.CALL_DURATION.prometheus_name
    for record, by in (
        (series.SUM_WAITS_BY_FEATURE, (FEATURE,)),
        (series.SUM_WAITS_BY_MODEL, (PROVIDER, MODEL)),
    ):
        yield _by(record, f"{waits}_bucket{{{_WENT_WELL}}}", "le", *by)
    yield _by(series.SUM_WAIT_SECONDS, f"{waits}_sum{{{_WENT_WELL}}}", FEATURE)
    # The metric's name depends on the generation of the conventions that the gateway prints.
    latest, v1_41 = (
        _by("", f"{metric.prometheus_name}_bucket", "le", PROVIDER, MODEL).expr
        for metric in (names.TIME_TO_FIRST, names.OPERATION_TIME_TO_FIRST)
    )
    yield Recording(series.SUM_FIRST_CHUNKS, f"{latest}\n  or {v1_41}")
    # So does that of attempts, of which embeddings always have one of their own.
    inference, operation = (
        _by("", f"{metric.prometheus_name}_count", PROVIDER, MODEL, ANSWERED).expr
        for metric in (names.INFERENCE_DURATION, names.OPERATION_DURATION)
    )
    yield Recording(series.SUM_ANSWERS, f"{inference}\n  or {operation}")


def _reasons() -> Iterable[Recording]:
    calls, attempts = names.CALLS.prometheus_name, names.ATTEMPTS.prometheus_name
    yield _by(series.SUM_CALL_ERRORS, calls, PROVIDER, ERROR)
    yield _by(series.SUM_ATTEMPT_ERRORS, attempts, PROVIDER, ERROR)
    for record, metric in (
        (series.SUM_UNPRICED, names.UNPRICED),
        (series.SUM_UNMETERED, names.UNMETERED),
    ):
        yield _by(record, metric.prometheus_name, PROVIDER, MODEL, REASON)


def _by(record: str, selected: str, *by: str) -> Recording:
    return Recording(record, f"sum by ({', '.join((*by, 'job', 'instance'))}) ({selected})")


def _recorded() -> Recording:
    return Recording(series.SUMS_RECORDED, f"group ({names.BUILD_INFO.prometheus_name})")
