"""An application that is not ours, instrumented with OpenTelemetry's SDK, and indiscreet.

Content stands everywhere that the SDK lets an application put text. No gateway knows it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
    OTLPSpanExporter as GrpcSpanExporter,
)
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

CANARY = "canary"
"""Stands in every text that must not leave."""
SECRETS = (
    "sk-proj-0123456789abcdefghij",
    "AKIAIOSFODNN7EXAMPLE",
    "AIzaSyA0123456789abcdefghijklmnopqrstuv",
    "ghp_0123456789abcdefghijABCDEFGHIJ",
    "Bearer 0123456789abcdef",
    "jane.doe@example.com",
)
"""Each stands in a value whose name may leave."""

CONTENT: Mapping[str, Any] = {
    "gen_ai.input.messages": '[{"role": "user", "content": "canary prompt"}]',
    "gen_ai.output.messages": '[{"role": "assistant", "content": "canary answer"}]',
    "gen_ai.system_instructions": "canary system prompt",
    "gen_ai.prompt": "canary prompt",
    "gen_ai.prompt.0.content": "canary prompt",
    "gen_ai.completion": "canary answer",
    "gen_ai.tool.call.arguments": '{"query": "canary argument"}',
    "gen_ai.tool.call.result": "canary result",
    "gen_ai.tool.definitions": ["canary tool"],
    "llm.prompts.0.content": "canary prompt",
    "llm.input_messages": "canary prompt",
    "traceloop.entity.input": "canary input",
    "input.value": "canary prompt",
    "url.full": "https://example.invalid/v1?key=canary-key",
    "url.query": "key=canary-key",
    "url.path": "/users/canary",
    "http.url": "https://example.invalid/v1?key=canary-key",
    "http.target": "/v1?key=canary-key",
    "http.request.header.authorization": ["Bearer canary-key"],
    "http.response.header.set_cookie": ["session=canary"],
    "exception.message": "canary message",
    "db.query.text": "SELECT 'canary'",
    "baggage.user": "canary user",
    "user.prompt": "canary prompt",
    "enduser.id": "canary user",
    "spanmeter.prompt": "canary prompt",
    "spanmeter.tags.extra": "canary",
    "xgen_ai.request.model": "canary",
    "gen_ai.request.model.canary": "in the name of an attribute",
}
RESOURCE = {"service.name": "shop", "service.instance.id": "shop-1"}
_NAMELESS_RESOURCE = {
    "process.command_args": ["run", "--key=canary-key"],
    "host.name": "canary-host",
    "user.note": "canary note",
}
_ELSEWHERE = SpanContext(7, 7, is_remote=True, trace_flags=TraceFlags(1))


def send_spans(endpoint: str, *, grpc: bool = False) -> None:
    """Send one span of each kind of indiscretion, and one with secrets where names may leave."""
    exporter: SpanExporter = OTLPSpanExporter(f"{endpoint}/v1/traces")
    if grpc:
        exporter = GrpcSpanExporter(endpoint, insecure=True)
    provider = TracerProvider(resource=Resource({**RESOURCE, **_NAMELESS_RESOURCE}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("shop.orders", attributes={"note": "canary note"})
    link = Link(_ELSEWHERE, {"reason": "canary reason"})
    with tracer.start_as_current_span("linked", links=[link]):
        pass
    with tracer.start_as_current_span("ask: canary prompt", attributes=CONTENT) as ask:
        ask.add_event("canary event", {"gen_ai.event.content": "canary"})
        ask.add_event("gen_ai.user.message", {"content": "canary prompt"})
        ask.record_exception(ValueError("canary message"))
        ask.set_status(Status(StatusCode.ERROR, "canary description"))
    secrets: Mapping[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": f"model-{SECRETS[0]}",
        "spanmeter.feature": SECRETS[0],
        "spanmeter.tag.note": [*SECRETS[1:], "kept"],
    }
    with tracer.start_as_current_span(
        f"chat {SECRETS[0]}", kind=SpanKind.CLIENT, attributes=secrets
    ):
        pass
    provider.shutdown()


@contextmanager
def meter(endpoint: str, *, views: Sequence[View] = ()) -> Iterator[Meter]:
    """Give a meter whose instruments are sent once, at the end."""
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{endpoint}/v1/metrics"), 3_600_000)
    resource = Resource({**RESOURCE, **_NAMELESS_RESOURCE})
    provider = MeterProvider(
        [reader], resource=resource, views=views, exemplar_filter=AlwaysOnExemplarFilter()
    )
    yield provider.get_meter("shop.orders", attributes={"note": "canary note"})
    provider.shutdown()
