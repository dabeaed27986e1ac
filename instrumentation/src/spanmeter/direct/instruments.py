"""The GenAI metrics of a call, by OpenTelemetry's API; the gateway's books count the same."""

from collections.abc import Iterator
from typing import NamedTuple

from opentelemetry.context import Context
from opentelemetry.metrics import Counter, Histogram, Meter

from spanmeter import genai_metrics as metrics
from spanmeter import semconv
from spanmeter.direct.ended import Ended
from spanmeter.genai_metrics import NANOS, by_modality
from spanmeter.metric import Metric, Semconv
from spanmeter.usage import Usage

_CUT = semconv.MAX_LABEL_CHARS


class _Point(NamedTuple):
    """An amount in the metric's unit, and what its own attribute says, where it has one."""

    metric: Metric
    amount: float
    label: str = ""


class Instruments:
    """The instruments of one generation of the conventions."""

    def __init__(self, meter: Meter, generation: Semconv) -> None:
        self._instrument_by_name = {
            metric.name: _instrument(meter, metric)
            for metric in metrics.GENAI_METRICS
            if generation in metric.semconv
        }
        self._generation = generation

    def record(self, ended: Ended, context: Context) -> None:
        """Count one call; `context` holds its span, for exemplars."""
        labels = _labels(ended)
        for metric, amount, label in _points(ended, self._generation):
            instrument = self._instrument_by_name.get(metric.name)
            if instrument is None:
                continue
            attributes = dict(labels)
            if label:
                attributes[metric.attributes[-1]] = label
            if isinstance(instrument, Histogram):
                instrument.record(amount, attributes, context)
            else:
                instrument.add(amount, attributes, context)


def _instrument(meter: Meter, metric: Metric) -> Counter | Histogram:
    if metric.kind == "counter":
        return meter.create_counter(metric.name, metric.unit, metric.description)
    return meter.create_histogram(
        metric.name,
        metric.unit,
        metric.description,
        explicit_bucket_boundaries_advisory=metric.buckets,
    )


def _labels(ended: Ended) -> dict[str, str | int]:
    """Return the attributes of every metric; those that are empty are left out."""
    texts = {
        semconv.OPERATION: ended.operation,
        semconv.PROVIDER: ended.provider,
        semconv.REQUEST_MODEL: (ended.model or "")[:_CUT],
        semconv.RESPONSE_MODEL: (ended.response_model or "")[:_CUT],
        semconv.SERVER_ADDRESS: ended.server_address,
        semconv.FEATURE: ended.feature[:_CUT],
    }
    for key, value in ended.tags:
        if key in semconv.DEFAULT_TAG_KEYS:
            texts[semconv.TAG_PREFIX + key] = value[:_CUT]
    found: dict[str, str | int] = {name: text for name, text in texts.items() if text}
    if ended.server_port:
        found[semconv.SERVER_PORT] = ended.server_port
    return found


def _points(ended: Ended, generation: Semconv) -> Iterator[_Point]:
    is_inference = ended.operation != semconv.EMBEDDINGS
    error, duration_s = ended.error_type or "", ended.duration_ns / NANOS
    if is_inference:
        yield _Point(metrics.INFERENCE_DURATION, duration_s, error)
    if not is_inference or generation != "latest":
        yield _Point(metrics.OPERATION_DURATION, duration_s, error)
    if ended.first_chunk_ns is not None:
        for first_chunk in (metrics.TIME_TO_FIRST, metrics.OPERATION_TIME_TO_FIRST):
            yield _Point(first_chunk, ended.first_chunk_ns / NANOS)
    for chunk_s in ended.chunk_seconds:
        yield _Point(metrics.TIME_PER_CHUNK, chunk_s)
    if is_inference and error:
        # GENAI gen-ai-token-metrics.md: the counters of a failed inference begin, at 0.
        yield _Point(metrics.INPUT_TOKENS, 0, semconv.UNKNOWN_MODALITY)
        yield _Point(metrics.OUTPUT_TOKENS, 0, semconv.UNKNOWN_MODALITY)
    if ended.usage is not None:
        yield from _totals(ended.usage)
        if is_inference:
            yield from _sizes(ended.usage, error)
            yield from _parts(ended.usage)


def _totals(usage: Usage) -> Iterator[_Point]:
    if usage.input_tokens is not None:
        yield _Point(metrics.TOKEN_USAGE, usage.input_tokens, "input")
    if usage.output_tokens is not None:
        yield _Point(metrics.TOKEN_USAGE, usage.output_tokens, "output")


def _sizes(usage: Usage, error: str) -> Iterator[_Point]:
    if usage.input_tokens is not None:
        yield _Point(metrics.OPERATION_INPUT, usage.input_tokens, error)
    if usage.output_tokens is not None:
        yield _Point(metrics.OPERATION_OUTPUT, usage.output_tokens, error)


def _parts(usage: Usage) -> Iterator[_Point]:
    """Yield the counters, by modality; what a provider did not report is not 0."""
    inputs = (usage.input_text_tokens, usage.input_image_tokens, usage.input_audio_tokens)
    cached = (None, None, usage.cache_read_audio_tokens)
    outputs = (usage.output_text_tokens, usage.output_image_tokens, usage.output_audio_tokens)
    for metric, total, split in (
        (metrics.INPUT_TOKENS, usage.input_tokens, inputs),
        (metrics.OUTPUT_TOKENS, usage.output_tokens, outputs),
        (metrics.CACHE_READ_TOKENS, usage.cache_read_tokens, cached),
    ):
        for modality, tokens in by_modality(total or 0, split):
            yield _Point(metric, tokens, modality)
    for metric, total in (
        (metrics.CACHE_WRITE_TOKENS, usage.cache_write_tokens),
        (metrics.REASONING_TOKENS, usage.reasoning_tokens),
    ):
        if total is not None:
            yield _Point(metric, total, semconv.UNKNOWN_MODALITY)
