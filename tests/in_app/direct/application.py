"""An application that calls models: its HTTP clients are hooked, and its telemetry is kept here.

One `Application` meters calls to one pretend provider, by any name; `None` in place of the name
leaves the provider unknown, as any other host.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from tests.otlp_series import Series, series_of_requests

import spanmeter
from spanmeter.direct.meter import DirectMeter
from spanmeter.hooks import httpx_hook
from spanmeter.metric import Semconv

JUDGED = [
    ("chat", ("ok", None)),
    ("status 429 rate_limit_exceeded", ("provider_error", "rate_limit_exceeded")),
    ("status 500", ("provider_error", "500")),
    ("status 401 invalid_api_key", ("caller_error", "invalid_api_key")),
]
"""What a pretend provider is told to answer, and what such a call is counted as."""


class Application:
    """What one process would print of its own direct calls."""

    def __init__(
        self, base_url: str, provider: str | None = "openai", *, semconv: Semconv = "both"
    ):
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self._tracers = TracerProvider()
        self._tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._meters = MeterProvider(metric_readers=[self._reader])
        self.tracer = self._tracers.get_tracer("application")
        address = base_url.partition("://")[2]
        self.meter = DirectMeter(
            {address: provider} if provider else None,
            semconv=semconv,
            times_chunks=True,
            tracer_provider=self._tracers,
            meter_provider=self._meters,
        )

    @property
    def calls(self) -> list[ReadableSpan]:
        """The CLIENT spans, in the order in which they ended."""
        spans = self._exporter.get_finished_spans()
        return [span for span in spans if span.kind is SpanKind.CLIENT]

    @property
    def call(self) -> ReadableSpan:
        """The only CLIENT span."""
        (span,) = self.calls
        return span

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Those of the only CLIENT span."""
        return dict(self.call.attributes or {})

    @property
    def end(self) -> tuple[Any, Any]:
        """Outcome and error type of the only CLIENT span."""
        return self.attributes.get("spanmeter.outcome"), self.attributes.get("error.type")

    def series(self) -> Series:
        """Collect the metrics, as they would be in Prometheus."""
        collected = self._reader.get_metrics_data()
        return series_of_requests([encode_metrics(collected)]) if collected is not None else {}

    def total(self, name: str) -> float:
        """Add up the series of one name."""
        return sum(value for (found, _), value in self.series().items() if found == name)

    def written(self) -> str:
        """All that would leave the process."""
        spans = "".join(span.to_json() for span in self._exporter.get_finished_spans())
        return spans + str(self.series())

    def close(self) -> None:
        """End the telemetry."""
        self._tracers.shutdown()
        self._meters.shutdown()


@contextmanager
def hooked(application: Application, gateway: str | tuple[str, ...] = ()) -> Iterator[Application]:
    """Hook all HTTP clients for this application, for a block."""
    spanmeter.instrument_httpx(gateway, direct=True)
    httpx_hook.observer.meter = application.meter
    try:
        yield application
    finally:
        spanmeter.uninstrument()
        application.close()
