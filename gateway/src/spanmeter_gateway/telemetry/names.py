"""Every attribute, metric, label, unit, bucket and description that this product prints.

The only place for these texts. One name travels all ways: the Prometheus
label is the OTLP attribute by the standard translation, see `label`. Outside names are cited as
GENAI (OpenTelemetry semantic-conventions-genai, docs/gen-ai), HTTP (semantic-conventions,
docs/http) and GENERAL (its docs/general).
"""

# What applications print as well stands in `spanmeter`; all of it is at hand under this name.
# ruff: noqa: F403, F405 - a list of a hundred names would say no more
from spanmeter.genai_metrics import *
from spanmeter.semconv import *
from spanmeter_gateway.telemetry.buckets import COST_USD, HTTP_SECONDS, WAIT_SECONDS
from spanmeter_gateway.telemetry.metric import Metric, Semconv, counter, gauge, label

__all__ = ["Metric", "Semconv", "label"]

# -- attributes of our own namespace ---------------------------------------------------------------
KEY_ID = "spanmeter.key.id"
RULE = "spanmeter.rule"
TOKEN_CLASS = "spanmeter.token.class"
RETRY_COUNT = "spanmeter.retry.count"
# Mirrors the proposal in semantic-conventions-genai pull request 443, so adopting it is a rename.
COST_AMOUNT = "spanmeter.cost.amount"
COST_CURRENCY = "spanmeter.cost.currency"
COST_SOURCE = "spanmeter.cost.source"
COST_PRICE_VERSION = "spanmeter.cost.price_version"
REASON = "reason"
LABEL = "label"
PAIR = "pair"
RESULT = "result"
VERSION = "version"

TAGS_DROPPED_EVENT = "tags.dropped"
DROPPED_COUNT = "spanmeter.tags.dropped.count"
DROPPED_REASONS = "spanmeter.tags.dropped.reasons"
DROPPED_SOURCES = "spanmeter.tags.dropped.sources"

# -- attributes of the conventions -----------------------------------------------------------------
# No convention's: Langfuse and OpenLIT's dashboards read the cost in USD here.
USAGE_COST = "gen_ai.usage.cost"
# HTTP http-spans.md; GENERAL attributes.md and recording-errors.md.
HTTP_METHOD = "http.request.method"
HTTP_METHOD_ORIGINAL = "http.request.method_original"
HTTP_RESEND_COUNT = "http.request.resend_count"
HTTP_ROUTE = "http.route"
HTTP_STATUS = "http.response.status_code"
URL_SCHEME = "url.scheme"
PROTOCOL_VERSION = "network.protocol.version"
# GENERAL resource/service.md.
SERVICE_NAME = "service.name"
SERVICE_VERSION = "service.version"
SERVICE_INSTANCE = "service.instance.id"

# -- values ----------------------------------------------------------------------------------------
# HTTP http-spans.md: any other method is `_OTHER`, and `HTTP` in a span's name.
HTTP_METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)
OTHER_METHOD = "_OTHER"
OTHER_METHOD_IN_NAME = "HTTP"
# Stands for every value beyond a budget of the cardinality governor.
FOLDED = "__other__"
# Stands beside the label names where what overflowed is the budget of all series.
ALL_SERIES = "series"
CURRENCY = "USD"
# Outcomes whose series start at 0 when a feature is first seen, so that ratios are 0, not absent.
STARTED_OUTCOMES = ("ok", "caller_error", "provider_error", "gateway_error")

SERVICE = "spanmeter-gateway"

# -- metrics ---------------------------------------------------------------------------------------
# What a call is counted by. Task is on our own counters only: it would multiply buckets.
_CALL = (FEATURE, TASK, PROVIDER, REQUEST_MODEL, OPERATION)


def _per_call(
    name: str, unit: str, description: str, *attributes: str, has_exemplars: bool = False
) -> Metric:
    return Metric(
        name, label(name) + "_total", "counter", unit, description,
        attributes=_CALL + attributes, tagged=True, per_unit=NANOS if unit == "{USD}" else 1,
        has_exemplars=has_exemplars,
    )  # fmt: skip


# spanmeter_calls_total
CALLS = _per_call(
    "spanmeter.calls", "{call}", "Calls that ended, each counted once.", OUTCOME, ERROR_TYPE,
    has_exemplars=True,
)  # fmt: skip
# spanmeter_call_duration_seconds
CALL_DURATION = Metric(
    "spanmeter.call.duration", "spanmeter_call_duration_seconds", "histogram", "s",
    "What the caller waited, from the request's first byte to the answer's last.",
    attributes=(FEATURE, PROVIDER, REQUEST_MODEL, OPERATION, OUTCOME), tagged=True,
    per_unit=NANOS, buckets=WAIT_SECONDS, has_exemplars=True,
)  # fmt: skip
# spanmeter_attempts_total
ATTEMPTS = _per_call(
    "spanmeter.attempts", "{attempt}", "Tries at an upstream; a call has none, one or more.",
    ERROR_TYPE, has_exemplars=True,
)  # fmt: skip
# spanmeter_passthrough_total
PASSTHROUGH = Metric(
    "spanmeter.passthrough", "spanmeter_passthrough_total", "counter", "{call}",
    "Requests passed through without metering.",
    attributes=(FEATURE, TASK, PROVIDER, OUTCOME, ERROR_TYPE), tagged=True,
)  # fmt: skip
# spanmeter_tokens_total
TOKENS = _per_call(
    "spanmeter.tokens", "{token}", "Tokens by class; the classes are disjoint and add up.",
    TOKEN_CLASS,
)  # fmt: skip
# spanmeter_cost_usd_total: USD only, so that sums mean something. The braces keep the unit out of
# the Prometheus name, hence it stands in the name itself.
COST = _per_call(
    "spanmeter.cost_usd", "{USD}", "Cost in US dollars, by the class of tokens it was owed for.",
    TOKEN_CLASS, COST_SOURCE,
)  # fmt: skip
# spanmeter_operation_cost_usd
OPERATION_COST = Metric(
    "spanmeter.operation.cost_usd", "spanmeter_operation_cost_usd", "histogram", "{USD}",
    "Cost of one call in US dollars.",
    attributes=(FEATURE, PROVIDER, REQUEST_MODEL, OPERATION), tagged=True,
    per_unit=NANOS, buckets=COST_USD, has_exemplars=True, switch="metrics.operation_cost",
)  # fmt: skip
# spanmeter_unpriced_calls_total
UNPRICED = _per_call(
    "spanmeter.unpriced_calls", "{call}", "Calls with known usage and no known price.", REASON
)
# spanmeter_unmetered_calls_total
UNMETERED = _per_call(
    "spanmeter.unmetered_calls", "{call}", "Calls that were answered without a known usage.",
    REASON,
)  # fmt: skip
# spanmeter_tag_violations_total
TAG_VIOLATIONS = counter(
    "spanmeter.tag_violations", "{violation}", "Tags or features dropped or altered.", REASON
)

# http_server_request_duration_seconds
HTTP_SERVER_DURATION = Metric(
    "http.server.request.duration", "http_server_request_duration_seconds", "histogram", "s",
    "Duration of one HTTP request to the gateway, metered or passed through.",
    attributes=(HTTP_METHOD, URL_SCHEME, ERROR_TYPE, HTTP_STATUS, HTTP_ROUTE, PROTOCOL_VERSION),
    per_unit=NANOS, buckets=HTTP_SECONDS, has_exemplars=True, source="HTTP http-metrics.md",
)  # fmt: skip

# Health of the books themselves: spanmeter_receipts_entered_total and so on.
RECEIPTS_ENTERED = counter("spanmeter.receipts_entered", "{receipt}", "Receipts entered.")
RECEIPTS_DROPPED = counter("spanmeter.receipts_dropped", "{receipt}", "Receipts lost.", REASON)
RECEIPTS_LATE = counter(
    "spanmeter.receipts_late", "{receipt}", "Receipts entered over 60 s after their call ended."
)
SEGMENTS = counter("spanmeter.segments", "{segment}", "Spool segments read, by result.", RESULT)
RELAY_LOST = counter(
    "spanmeter.relay_lost_calls", "{call}", "Calls closed by the books because their relay died."
)
COMMIT_FAILURES = counter(
    "spanmeter.books.commit_failures", "{commit}", "Commits of the books that failed."
)
SPANS = counter("spanmeter.spans", "{span}", "Spans sent, rejected, dropped or failed.", RESULT)
METRIC_EXPORTS = counter(
    "spanmeter.metric_exports", "{export}", "Exports of all metrics over OTLP, by result.", RESULT
)
SPAN_QUEUE_SIZE = gauge("spanmeter.span_queue.size", "By", "Encoded spans that wait to be sent.")
SPAN_QUEUE_CAPACITY = gauge(
    "spanmeter.span_queue.capacity", "By", "What the queue of spans holds; beyond it they drop."
)
# spanmeter_reconciliation_difference
RECONCILIATION = gauge(
    "spanmeter.reconciliation_difference", "{item}",
    "What two independent counts of the same differ by; 0 unless something was dropped.", PAIR,
)  # fmt: skip
# The cardinality governor about itself.
LABEL_OVERFLOW = counter(
    "spanmeter.label_overflow", "{call}", f"Calls counted under `{FOLDED}`, by label.", LABEL
)
LABEL_VALUES = gauge("spanmeter.label.values", "{value}", "Distinct values in use.", LABEL)
LABEL_BUDGET = gauge("spanmeter.label.budget", "{value}", "Distinct values allowed.", LABEL)
SERIES = gauge("spanmeter.series", "{series}", "Series in use, each bucket being one.")
SERIES_BUDGET = gauge("spanmeter.series_budget", "{series}", "Series allowed.")
BOOKS_LAG = gauge(
    "spanmeter.books.lag", "s", "Age of the oldest receipt not entered; the highest of 90 s."
)
REQUESTS_ACTIVE = Metric(
    "spanmeter.request.active", "spanmeter_request_active", "updowncounter", "{request}",
    "Requests that the relays are working on.",
)  # fmt: skip
CONFIG_GENERATION = gauge(
    "spanmeter.config.generation", "", "Number of the configuration in force."
)
CONFIG_RELOADS = counter("spanmeter.config.reloads", "{reload}", "Reloads, by result.", RESULT)
LAST_RELOAD_OK = gauge("spanmeter.config.last_reload_successful", "", "0: it was refused; else 1.")
CONNECTIONS_REFUSED = counter(
    "spanmeter.connections_refused",
    "{connection}",
    "Callers' connections refused or cut off.",
    REASON,
)
BUILD_INFO = gauge("spanmeter.build_info", "", "Always 1; the version that runs.", VERSION)

METRICS: tuple[Metric, ...] = (
    CALLS, CALL_DURATION, ATTEMPTS, PASSTHROUGH, TOKENS, COST, OPERATION_COST, UNPRICED, UNMETERED,
    TAG_VIOLATIONS,
    *GENAI_METRICS,
    HTTP_SERVER_DURATION,
    RECEIPTS_ENTERED, RECEIPTS_LATE, RECEIPTS_DROPPED, SEGMENTS, RELAY_LOST, COMMIT_FAILURES, SPANS,
    METRIC_EXPORTS, SPAN_QUEUE_SIZE, SPAN_QUEUE_CAPACITY, RECONCILIATION,
    LABEL_OVERFLOW, LABEL_VALUES, LABEL_BUDGET, SERIES, SERIES_BUDGET,
    BOOKS_LAG, REQUESTS_ACTIVE, CONNECTIONS_REFUSED,
    CONFIG_GENERATION, CONFIG_RELOADS, LAST_RELOAD_OK, BUILD_INFO,
)  # fmt: skip
"""In the order in which they are printed."""
METRIC_BY_NAME = {metric.prometheus_name: metric for metric in METRICS}
