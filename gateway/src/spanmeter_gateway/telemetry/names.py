"""Every attribute, metric, label, unit, bucket and description that this product prints.

The only place for these texts. One name travels all ways: the Prometheus
label is the OTLP attribute by the standard translation, see `label`. Outside names are cited as
GENAI (OpenTelemetry semantic-conventions-genai, docs/gen-ai), HTTP (semantic-conventions,
docs/http) and GENERAL (its docs/general).
"""

from typing import Literal

from spanmeter_gateway.telemetry.buckets import (
    COST_USD,
    GENAI_SECONDS,
    GENAI_TOKENS,
    HTTP_SECONDS,
    WAIT_SECONDS,
)
from spanmeter_gateway.telemetry.metric import Metric, Semconv, counter, gauge, label

__all__ = ["Metric", "Semconv", "label"]

# -- attributes of our own namespace ---------------------------------------------------------------
FEATURE = "spanmeter.feature"
TASK = "spanmeter.task"
TAG_PREFIX = "spanmeter.tag."
TAGS = "spanmeter.tags"
OUTCOME = "spanmeter.outcome"
KEY_ID = "spanmeter.key.id"
RULE = "spanmeter.rule"
TOKEN_CLASS = "spanmeter.token.class"
USAGE_SOURCE = "spanmeter.usage.source"
RETRY_COUNT = "spanmeter.retry.count"
MODEL_ALIAS = "spanmeter.request.model_alias"
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
# GENAI client-inference.md: the inference span.
OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_ID = "gen_ai.response.id"
FINISH_REASONS = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
REQUEST_STREAM = "gen_ai.request.stream"
TOKEN_MODALITY = "gen_ai.token.modality"
# GENAI of v1.41, docs/gen-ai/gen-ai-metrics.md: `input` or `output`.
TOKEN_TYPE = "gen_ai.token.type"
# GENAI of v1.41, docs/gen-ai/gen-ai-spans.md: today's `cache_write`.
CACHE_CREATION_TOKENS = "gen_ai.usage.cache_creation.input_tokens"
# No convention's: Langfuse and OpenLIT's dashboards read the cost in USD here.
USAGE_COST = "gen_ai.usage.cost"
# GENAI azure-ai-inference.md.
AZURE_NAMESPACE = "azure.resource_provider.namespace"
# GENAI openai.md.
OPENAI_API_TYPE = "openai.api.type"
OPENAI_REQUEST_TIER = "openai.request.service_tier"
OPENAI_RESPONSE_TIER = "openai.response.service_tier"
OPENAI_FINGERPRINT = "openai.response.system_fingerprint"
# HTTP http-spans.md; GENERAL attributes.md and recording-errors.md.
HTTP_METHOD = "http.request.method"
HTTP_METHOD_ORIGINAL = "http.request.method_original"
HTTP_RESEND_COUNT = "http.request.resend_count"
HTTP_ROUTE = "http.route"
HTTP_STATUS = "http.response.status_code"
URL_SCHEME = "url.scheme"
PROTOCOL_VERSION = "network.protocol.version"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
ERROR_TYPE = "error.type"
# GENERAL resource/service.md.
SERVICE_NAME = "service.name"
SERVICE_VERSION = "service.version"
SERVICE_INSTANCE = "service.instance.id"

# GENAI client-inference.md and client-embeddings: names of what a request asked for, by the short
# name that a receipt's `parameters` uses, with the type that the conventions give.
ParameterKind = Literal["int", "double", "string", "strings"]
PARAMETERS: dict[str, tuple[str, ParameterKind]] = {
    "max_tokens": ("gen_ai.request.max_tokens", "int"),
    "temperature": ("gen_ai.request.temperature", "double"),
    "top_p": ("gen_ai.request.top_p", "double"),
    "top_k": ("gen_ai.request.top_k", "int"),
    "frequency_penalty": ("gen_ai.request.frequency_penalty", "double"),
    "presence_penalty": ("gen_ai.request.presence_penalty", "double"),
    "seed": ("gen_ai.request.seed", "int"),
    "choice_count": ("gen_ai.request.choice.count", "int"),
    "reasoning_level": ("gen_ai.request.reasoning.level", "string"),
    "previous_response_id": ("gen_ai.request.previous_response.id", "string"),
    "output_type": ("gen_ai.output.type", "string"),
    "conversation_id": ("gen_ai.conversation.id", "string"),
    "prompt_name": ("gen_ai.prompt.name", "string"),
    "prompt_version": ("gen_ai.prompt.version", "string"),
    "encoding_format": ("gen_ai.request.encoding_formats", "strings"),
    "dimension_count": ("gen_ai.embeddings.dimension.count", "int"),
    "service_tier": (OPENAI_REQUEST_TIER, "string"),
}
# GENAI client-embeddings.md: the only ones on an embeddings span, and on no other.
EMBEDDINGS_PARAMETERS = frozenset({"encoding_format", "dimension_count"})
# Values that the conventions say are not worth an attribute: the default number of choices (GENAI
# client-inference.md) and the default tier (GENAI openai.md).
PARAMETER_DEFAULTS: dict[str, int | str] = {"choice_count": 1, "service_tier": "auto"}

# GENAI client-inference.md: token usage, by the field of `spanmeter.usage.Usage`.
USAGE: dict[str, str] = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_write.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "input_text_tokens": "gen_ai.usage.text.input_tokens",
    "input_image_tokens": "gen_ai.usage.image.input_tokens",
    "input_audio_tokens": "gen_ai.usage.audio.input_tokens",
    "output_text_tokens": "gen_ai.usage.text.output_tokens",
    "output_image_tokens": "gen_ai.usage.image.output_tokens",
    "output_audio_tokens": "gen_ai.usage.audio.output_tokens",
    "cache_read_audio_tokens": "gen_ai.usage.audio.cache_read.input_tokens",
}

# -- values ----------------------------------------------------------------------------------------
# GENAI openai.md: `openai.*` belongs to these two only; other upstreams speak the dialect, no more.
OPENAI_PROVIDERS = frozenset({"openai", "azure.ai.openai"})
# GENAI azure-ai-inference.md: the provider whose spans name the namespace, and what it is.
AZURE_NAMESPACE_BY_PROVIDER = {"azure.ai.inference": "Microsoft.CognitiveServices"}
# HTTP http-spans.md: any other method is `_OTHER`, and `HTTP` in a span's name.
HTTP_METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)
OTHER_METHOD = "_OTHER"
OTHER_METHOD_IN_NAME = "HTTP"
# GENERAL recording-errors.md: the predefined fallback of `error.type`.
OTHER_ERROR = "_OTHER"
# GENAI client-inference.md: stands where a finish reason was expected and never came.
FINISH_ERROR = "error"
# GENAI gen-ai-token-metrics.md: where the provider gave no split.
UNKNOWN_MODALITY = "unknown"
# Stands for every value beyond a budget of the cardinality governor.
FOLDED = "__other__"
# Stands beside the label names where what overflowed is the budget of all series.
ALL_SERIES = "series"
EMBEDDINGS = "embeddings"
CURRENCY = "USD"
MAX_LABEL_CHARS = 100  # Spans and ledger keep the whole value.
DEFAULT_TAG_KEYS = ("env", "team", "project", "cost-center")
# Outcomes whose series start at 0 when a feature is first seen, so that ratios are 0, not absent.
STARTED_OUTCOMES = ("ok", "caller_error", "provider_error", "gateway_error")

SERVICE = "spanmeter-gateway"
SCOPE = "spanmeter"
# GENAI README.md names it; the repository has tagged no release yet.
SCHEMA_URL = "https://opentelemetry.io/schemas/gen-ai/1.42.0"

# -- metrics ---------------------------------------------------------------------------------------
NANOS = 1_000_000_000


# What a call is counted by. Task is on our own counters only: it would multiply buckets.
_CALL = (FEATURE, TASK, PROVIDER, REQUEST_MODEL, OPERATION)
# GENAI gen-ai-metrics.md: the attributes of every client metric, and our feature.
_GENAI = (
    OPERATION, PROVIDER, REQUEST_MODEL, RESPONSE_MODEL, SERVER_ADDRESS, SERVER_PORT, FEATURE,
)  # fmt: skip


_LATEST: tuple[Semconv, ...] = ("latest", "both")
_V1_41: tuple[Semconv, ...] = ("v1_41", "both")


def _source(page: str, semconv: tuple[Semconv, ...]) -> str:
    return "v1.41 gen-ai-metrics.md" if semconv == _V1_41 else f"GENAI {page}"


def _genai_seconds(
    name: str, description: str, *attributes: str, semconv: tuple[Semconv, ...] = _LATEST,
    switch: str | None = None,
) -> Metric:  # fmt: skip
    return Metric(
        name, label(name) + "_seconds", "histogram", "s", description,
        attributes=_GENAI + attributes, tagged=True, per_unit=NANOS, buckets=GENAI_SECONDS,
        has_exemplars=switch is None,  # Counted by the relay, in buckets: no trace is left.
        semconv=semconv, source=_source("gen-ai-metrics.md", semconv), switch=switch,
    )  # fmt: skip


def _genai_tokens(
    name: str, description: str, attribute: str, *, semconv: tuple[Semconv, ...] = _LATEST
) -> Metric:
    return Metric(
        name, label(name), "histogram", "{token}", description,
        attributes=(*_GENAI, attribute), tagged=True, buckets=GENAI_TOKENS,
        has_exemplars=True, semconv=semconv, source=_source("gen-ai-token-metrics.md", semconv),
    )  # fmt: skip


def _genai_usage(kind: str, description: str) -> Metric:
    name = f"gen_ai.client.inference.usage.{kind}"
    return Metric(
        name, label(name) + "_total", "counter", "{token}", description,
        attributes=(*_GENAI, TOKEN_MODALITY), tagged=True, semconv=_LATEST,
        source="GENAI gen-ai-token-metrics.md",
    )  # fmt: skip


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

# GENAI gen-ai-metrics.md: one point an attempt, its value is the CLIENT span's duration.
INFERENCE_DURATION = _genai_seconds(
    "gen_ai.client.inference.duration", "Duration of one attempt at an inference.", ERROR_TYPE
)
TIME_TO_FIRST = _genai_seconds(
    "gen_ai.client.inference.time_to_first_chunk",
    "Time from issuing a streamed request to its first chunk.",
)
TIME_PER_CHUNK = _genai_seconds(
    "gen_ai.client.inference.time_per_output_chunk", "Time between two chunks of a stream.",
    switch="metrics.time_per_output_chunk",
)  # fmt: skip
# Of embeddings only, unless the generation of v1.41 is printed, where it is that of all operations.
OPERATION_DURATION = _genai_seconds(
    "gen_ai.client.operation.duration",
    "Duration of one attempt at embeddings, or by v1.41 at any operation.",
    ERROR_TYPE, semconv=("latest", "v1_41", "both"),
)  # fmt: skip
# GENAI of v1.41, gen-ai-metrics.md: what consumers of that generation know.
OPERATION_TIME_TO_FIRST = _genai_seconds(
    "gen_ai.client.operation.time_to_first_chunk",
    "Time from issuing a streamed request to its first chunk.", semconv=_V1_41,
)  # fmt: skip
TOKEN_USAGE = _genai_tokens(
    "gen_ai.client.token.usage", "Input and output tokens of one operation.", TOKEN_TYPE,
    semconv=_V1_41,
)  # fmt: skip
# GENAI gen-ai-token-metrics.md: counters for totals, histograms for percentiles.
INPUT_TOKENS = _genai_usage("input_tokens", "Input tokens, cached ones included.")
OUTPUT_TOKENS = _genai_usage("output_tokens", "Output tokens, reasoning included.")
CACHE_READ_TOKENS = _genai_usage("cache_read.input_tokens", "Input tokens served from a cache.")
CACHE_WRITE_TOKENS = _genai_usage("cache_write.input_tokens", "Input tokens written to a cache.")
REASONING_TOKENS = _genai_usage("reasoning.output_tokens", "Output tokens spent on reasoning.")
OPERATION_INPUT = _genai_tokens(
    "gen_ai.client.inference.operation.input_tokens", "Input tokens of one inference.", ERROR_TYPE
)
OPERATION_OUTPUT = _genai_tokens(
    "gen_ai.client.inference.operation.output_tokens", "Output tokens of one inference.",
    ERROR_TYPE,
)  # fmt: skip
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
    INFERENCE_DURATION, TIME_TO_FIRST, TIME_PER_CHUNK, OPERATION_DURATION,
    INPUT_TOKENS, OUTPUT_TOKENS, CACHE_READ_TOKENS, CACHE_WRITE_TOKENS, REASONING_TOKENS,
    OPERATION_INPUT, OPERATION_OUTPUT, OPERATION_TIME_TO_FIRST, TOKEN_USAGE, HTTP_SERVER_DURATION,
    RECEIPTS_ENTERED, RECEIPTS_LATE, RECEIPTS_DROPPED, SEGMENTS, RELAY_LOST, COMMIT_FAILURES, SPANS,
    METRIC_EXPORTS, SPAN_QUEUE_SIZE, SPAN_QUEUE_CAPACITY, RECONCILIATION,
    LABEL_OVERFLOW, LABEL_VALUES, LABEL_BUDGET, SERIES, SERIES_BUDGET,
    BOOKS_LAG, REQUESTS_ACTIVE, CONNECTIONS_REFUSED,
    CONFIG_GENERATION, CONFIG_RELOADS, LAST_RELOAD_OK, BUILD_INFO,
)  # fmt: skip
"""In the order in which they are printed."""
METRIC_BY_NAME = {metric.prometheus_name: metric for metric in METRICS}
