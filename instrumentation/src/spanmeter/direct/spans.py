"""The CLIENT span of a call, by OpenTelemetry's API; the gateway makes the same from a receipt."""

from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

from spanmeter import semconv, span_attributes
from spanmeter.direct.asked import Asked
from spanmeter.direct.ended import Ended
from spanmeter.genai_metrics import NANOS
from spanmeter.metric import Semconv


def begin_span(tracer: Tracer, asked: Asked, *, started_at_ns: int) -> Span:
    """Start the span, a child of the current one, with what a sampler may decide by.

    GENAI client-inference.md says which attributes are given at creation; the feature is ours.
    """
    known: dict[str, span_attributes.Value] = {
        semconv.OPERATION: asked.dialect.operation,
        semconv.PROVIDER: asked.provider,
        semconv.FEATURE: asked.attribution.feature,
        **dict(span_attributes.server(asked.server_address, asked.server_port)),
    }
    if asked.model is not None:
        known[semconv.REQUEST_MODEL] = asked.model
    return tracer.start_span(
        f"{asked.dialect.operation} {asked.model or ''}".rstrip(),
        kind=SpanKind.CLIENT,
        attributes=known,
        start_time=started_at_ns,
    )


def end_span(span: Span, ended: Ended, *, generation: Semconv, ended_at_ns: int) -> None:
    """Write what became known, and end the span. A duration is that of the metrics too."""
    if span.is_recording():
        span.set_attributes(_attributes(ended, generation))
        if ended.error_type is not None:
            span.set_status(StatusCode.ERROR)
    span.end(ended_at_ns)


def _attributes(ended: Ended, generation: Semconv) -> dict[str, span_attributes.Value]:
    is_openai = span_attributes.speaks_openai(ended, ended)
    found: dict[str, span_attributes.Value] = {
        **dict(span_attributes.attribution(ended)),
        **dict(
            span_attributes.inference(
                ended,
                ended,
                ended.error_type,
                usage_source="none" if ended.usage is None else "provider",
            )
        ),
        **dict(span_attributes.parameters(ended, is_openai=is_openai)),
        **dict(
            span_attributes.answer(
                ended,
                finish_reasons=span_attributes.finish_reasons_of(ended, ended),
                is_openai=is_openai,
            )
        ),
        **_usage(ended, generation),
    }
    if ended.first_chunk_ns is not None:
        found[semconv.TIME_TO_FIRST_CHUNK] = ended.first_chunk_ns / NANOS
    if ended.response_id is not None and ended.operation != semconv.EMBEDDINGS:
        found[semconv.RESPONSE_ID] = ended.response_id
    return found


def _usage(ended: Ended, generation: Semconv) -> dict[str, int]:
    """Collect the token counts; embeddings have input alone (GENAI client-embeddings.md)."""
    if ended.usage is None:
        return {}
    name_by_count = dict(semconv.USAGE)
    if ended.operation == semconv.EMBEDDINGS:
        name_by_count = {"input_tokens": name_by_count["input_tokens"]}
    counts = [(name, getattr(ended.usage, count)) for count, name in name_by_count.items()]
    if generation != "latest" and ended.operation != semconv.EMBEDDINGS:
        counts.append((semconv.CACHE_CREATION_TOKENS, ended.usage.cache_write_tokens))
    return {
        name: tokens
        for name, tokens in counts
        if tokens is not None and span_attributes.fits(tokens)
    }
