"""An application with OpenTelemetry's own instrumentation of httpx; prints its spans as JSON.

`python -m tests.in_app.hooks.otel_application <order> <gateway> <service> <provider>`: `order` says
whether spanmeter starts that instrumentation (`ours`), or somebody else before or after it.
"""

import asyncio
import json
import sys

import httpx
import httpx2
from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor, HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import spanmeter
from spanmeter.context import believe_baggage

QUERY = "?alt=sse&key=AIzaCANARY&q=1"


def start_others() -> None:
    HTTPXClientInstrumentor().instrument()
    HTTPX2ClientInstrumentor().instrument()


def start(order: str, gateway: str, service: str) -> None:
    if order == "before":
        start_others()
    spanmeter.instrument_httpx(gateway, services=service, http_spans=order == "ours")
    if order == "after":
        start_others()


def ask(url: str) -> None:
    for library in (httpx, httpx2):
        with library.Client(trust_env=False) as client:
            client.post(url + QUERY, headers={"x-replay-key": "it", "x-script": "fine"})


async def ask_async(url: str) -> None:
    for library in (httpx, httpx2):
        async with library.AsyncClient(trust_env=False) as client:
            await client.post(url + QUERY, headers={"x-replay-key": "it", "x-script": "fine"})


def main() -> None:
    order, *urls = sys.argv[1:]
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    start(order, *urls[:2])
    believe_baggage(is_believed=True)
    context.attach(baggage.set_baggage("user.id", "CANARY"))
    context.attach(baggage.set_baggage("spanmeter.feature", "of the caller"))
    with provider.get_tracer("app").start_as_current_span("app"), spanmeter.task("answer"):
        for url in urls:
            ask(f"{url}/")
            asyncio.run(ask_async(f"{url}/"))
    spanmeter.uninstrument()
    spans = exporter.get_finished_spans()
    json.dump([json.loads(span.to_json()) for span in spans], sys.stdout)


if __name__ == "__main__":
    main()
