"""Encoded requests over OTLP, by the OpenTelemetry SDK's own exporters: HTTP/protobuf or gRPC.

The exporters keep what they are good at: retries within one request's time-out, `Retry-After`,
TLS, compression, and the headers, which they read from the process's environment. Only their
encoding is skipped. That leans on a few of their internals (of the HTTP exporters `_client` with
its session, of the gRPC ones `_export`, `_timeout` and `_translate_data`), so a newer release is
taken after the tests here pass. Their logging is replaced: once a minute a line says why requests
do not arrive.
"""

import logging
import time
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast
from urllib.parse import urlsplit

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
import requests
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (
    OTLPMetricExporter as GrpcMetricExporter,
)
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
    OTLPSpanExporter as GrpcSpanExporter,
)
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import (
    OTLPMetricExporter as HttpMetricExporter,
)
from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
    OTLPSpanExporter as HttpSpanExporter,
)

from spanmeter_gateway.telemetry.otlp_answer import LastAnswer, rejected
from spanmeter_gateway.telemetry.otlp_settings import OtlpSettings

_WARN_INTERVAL_S = 60.0
# OTLP specification, "Failures": what a client may send again. Everything else would fail again.
_RETRYABLE_STATUSES = frozenset({None, 429, 502, 503, 504})
_RETRYABLE_CODES = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
_HTTP_EXPORTER = {"traces": HttpSpanExporter, "metrics": HttpMetricExporter}
_GRPC_METHOD = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
}

_log = logging.getLogger(__name__)


class Answer(Enum):
    """How the other side took a request."""

    ACCEPTED = "accepted"
    BUSY = "busy"
    """Not now, or not reachable: the same request may be sent again."""
    REFUSED = "refused"
    """It would be refused again."""


class Request(NamedTuple):
    """One encoded request, and how many spans or points it holds."""

    body: bytes
    amount: int


class Transport(Protocol):
    """A way to send encoded requests; used by one thread, but for `shutdown`."""

    rejected: int
    """How many spans or points of the request that was accepted last were not taken."""

    def send(self, request: Request, within_s: float | None = None) -> Answer:
        """Send one request, retries included, within the settings' time-out or a shorter one."""
        ...

    def shutdown(self) -> None:
        """Give up what is being sent, soon."""
        ...


def open_transport(settings: OtlpSettings) -> Transport:
    """Open the way that the settings ask for; nothing is sent yet."""
    # They tell of every retry, with the other side's own words.
    logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
    return (
        HttpTransport(settings) if settings.protocol == "http/protobuf" else GrpcTransport(settings)
    )


class _Complaint:
    """Says in the log why requests do not arrive, at most once a minute."""

    def __init__(self, settings: OtlpSettings) -> None:
        address = urlsplit(settings.endpoint).netloc or settings.endpoint
        self._signal = settings.signal
        self._what = (settings.signal, address.rpartition("@")[2])
        self._warn_at_s = 0.0

    def answer(self, answer: Answer, cause: object) -> Answer:
        """Return a bad answer, and complain of it."""
        self._say("OTLP %s: %s does not take them (%s)", *self._what, cause)
        return answer

    def rejected(self, request: Request, body: bytes) -> int:
        """Return how much of an accepted request was not taken, and complain of it."""
        count = rejected(self._signal, body, most=request.amount)
        if count:
            self._say(
                "OTLP %s: %s took a request but for %d of %d", *self._what, count, request.amount
            )
        return count

    def _say(self, message: str, *values: object) -> None:
        now_s = time.monotonic()
        if now_s >= self._warn_at_s:
            self._warn_at_s = now_s + _WARN_INTERVAL_S
            _log.warning(message, *values)


class _Session(requests.Session):
    """A session whose own authority counts; `requests` prefers that of REQUESTS_CA_BUNDLE."""

    def merge_environment_settings(  # noqa: PLR0917 - the library's signature
        self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> Any:
        """Add what the environment says, such as proxies, except for the authority."""
        settings = super().merge_environment_settings(url, proxies, stream, verify, cert)
        return settings | {"verify": self.verify}


class HttpTransport:
    """OTLP over HTTP, encoded by us."""

    def __init__(self, settings: OtlpSettings) -> None:
        exporter = _HTTP_EXPORTER[settings.signal](
            endpoint=settings.endpoint,
            certificate_file=settings.ca_file,
            client_key_file=settings.client_key_file,
            client_certificate_file=settings.client_cert_file,
            timeout=settings.timeout_s,
            compression=Compression(settings.compression),
            session=_Session() if settings.ca_file else None,
        )
        self._client = exporter._client
        self._last = LastAnswer()
        self._last.watch(cast("Any", self._client._transport)._session)
        self.rejected = 0
        self._timeout_s = settings.timeout_s
        self._complaint = _Complaint(settings)

    def send(self, request: Request, within_s: float | None = None) -> Answer:
        """Send one request, with the exporter's retries."""
        self._client._timeout = min(within_s or self._timeout_s, self._timeout_s)
        result = self._client.export(request.body)
        status = result.status_code
        # The exporter takes a redirection for a success, and does not follow it.
        if result.success and status is not None and status < 300:
            self.rejected = self._complaint.rejected(request, self._last.body)
            return Answer.ACCEPTED
        answer = Answer.BUSY if status in _RETRYABLE_STATUSES else Answer.REFUSED
        return self._complaint.answer(answer, status or type(result.error).__name__)

    def shutdown(self) -> None:
        """Give up retries; a request under way ends with its time-out."""
        self._client.shutdown()


class _Encoded:
    """What makes a gRPC exporter send requests that are bytes; stands before it as a base."""

    _channel: Any
    _signal: str
    failure: grpc.StatusCode | None = None
    """How the last try failed."""
    answer: bytes = b""
    """What was answered to the last request that was accepted."""

    def Export(  # noqa: N802 - the generated stub's name
        self, request: bytes, metadata: Any = None, timeout: float | None = None
    ) -> None:
        """Send one request; raise `grpc.RpcError` when it fails."""
        try:
            self.answer = self._method(request, metadata=metadata, timeout=timeout)
        except grpc.RpcError as error:
            self.failure = error.code()
            raise

    def _initialize_channel_and_stub(self) -> None:
        # The exporter calls this at first and to connect again. Its own stub takes messages only:
        # we are the stub.
        super()._initialize_channel_and_stub()  # type: ignore[misc]  # the exporter's
        self._method = self._channel.unary_unary(_GRPC_METHOD[self._signal])
        self._client = self

    def _translate_data(self, data: Request) -> bytes:
        # The exporter's hook from its caller's values to what its stub sends: ours are encoded.
        return data.body

    def _count_data(self, data: Request) -> int:
        return data.amount


class _GrpcSpans(_Encoded, GrpcSpanExporter):  # type: ignore[misc]  # bytes for messages
    """The exporter of spans."""


class _GrpcMetrics(_Encoded, GrpcMetricExporter):  # type: ignore[misc]  # bytes for messages
    """The exporter of metrics."""


class GrpcTransport:
    """OTLP over gRPC, encoded by us."""

    def __init__(self, settings: OtlpSettings) -> None:
        exporter = _GrpcSpans if settings.signal == "traces" else _GrpcMetrics
        gzip = settings.compression == "gzip"
        self._exporter = exporter(
            endpoint=settings.endpoint,
            insecure=settings.is_insecure,
            credentials=None if settings.is_insecure else _credentials(settings),
            timeout=settings.timeout_s,
            compression=grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression,
        )
        self._timeout_s = settings.timeout_s
        self._complaint = _Complaint(settings)
        self.rejected = 0

    def send(self, request: Request, within_s: float | None = None) -> Answer:
        """Send one request, with the exporter's retries."""
        exporter = self._exporter
        exporter._timeout = min(within_s or self._timeout_s, self._timeout_s)
        exporter.failure = None
        try:
            result: Any = exporter._export(request)  # type: ignore[arg-type]  # see _Encoded
        except ValueError:
            # grpc raises it on a channel that `shutdown` has closed meanwhile.
            return Answer.BUSY
        except TypeError as error:  # of a header that gRPC does not take
            return self._complaint.answer(Answer.REFUSED, type(error).__name__)
        if result.name == "SUCCESS":
            self.rejected = self._complaint.rejected(request, exporter.answer)
            return Answer.ACCEPTED
        failure = exporter.failure
        answer = Answer.REFUSED if failure and failure not in _RETRYABLE_CODES else Answer.BUSY
        return self._complaint.answer(answer, failure.name if failure else "closed")

    def shutdown(self) -> None:
        """Give up what is being sent."""
        self._exporter.shutdown()


def _credentials(settings: OtlpSettings) -> grpc.ChannelCredentials | None:
    # The exporter reads a client's certificate only beside an authority's.
    files = (settings.ca_file, settings.client_key_file, settings.client_cert_file)
    if not any(files):
        return None
    return grpc.ssl_channel_credentials(
        *(Path(file).read_bytes() if file else None for file in files)
    )
