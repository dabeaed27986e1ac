"""Spans on their way out: a bounded queue, one thread that sends, and word of what is settled.

Books offer a segment's receipts, and may delete the segment when it is settled: sent, or given up.
A segment that was not settled is offered again after a restart, so spans arrive at least once, and
their ids are fixed. A dead backend costs at most the queue's bytes and never blocks `offer`.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

from spanmeter_gateway.bill import Bill
from spanmeter_gateway.receipt import Receipt
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.otlp import Envelope, Value
from spanmeter_gateway.telemetry.otlp_settings import read_settings
from spanmeter_gateway.telemetry.otlp_transport import Answer, Request, Transport, open_transport
from spanmeter_gateway.telemetry.spans import SpanEncoder, Spans

QUEUE_BYTES = 32 * 1024 * 1024
# A gRPC server takes messages up to 4 MiB by default (grpc, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH).
_REQUEST_BYTES = 1024 * 1024
_LONGEST_BACKOFF_S = 30.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a segment's spans are sent again, beyond the exporter's own retries, in seconds."""

    give_up_s: float = 300.0
    """From its offer on; each segment is tried once at least."""
    first_backoff_s: float = 1.0
    """Doubles with each failure, up to 30 s."""


PATIENCE = Patience()


@dataclass(slots=True)
class _Parcel:
    """One segment's requests that are not sent yet."""

    segment: str
    requests: deque[Request]
    give_up_at_s: float
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = sum(len(request.body) for request in self.requests)


class SpanExport:
    """Send the spans of receipts; one thread from construction to `close`."""

    def __init__(
        self,
        transport: Transport,
        encoder: SpanEncoder,
        envelope: Envelope,
        *,
        queue_bytes: int = QUEUE_BYTES,
        patience: Patience = PATIENCE,
    ) -> None:
        self._transport = transport
        self._encoder = encoder
        self._envelope = envelope
        self._queue_bytes = queue_bytes
        self._patience = patience
        self._condition = threading.Condition()
        self._parcels: deque[_Parcel] = deque()
        self._queued_bytes = 0
        self._queued_spans = 0
        self._settled: list[str] = []
        self._counts = {"sent": 0, "rejected": 0, "dropped": 0, "failed": 0}
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="span-export", daemon=True)
        self._thread.start()

    def offer(self, segment: str, entries: Sequence[tuple[Receipt, Bill]]) -> None:
        """Queue a segment's spans, or drop and count them when the queue is full. Never blocks.

        Offer from one thread only: the encoder is not shared.
        """
        encoded = [self._encoder.encode(receipt, bill) for receipt, bill in entries]
        give_up_at_s = time.monotonic() + self._patience.give_up_s
        parcel = _Parcel(segment, deque(self._requests(encoded)), give_up_at_s)
        with self._condition:
            if not parcel.requests:
                self._settled.append(segment)
            elif self._is_closing or self._queued_bytes + parcel.size > self._queue_bytes:
                self._counts["dropped"] += sum(request.amount for request in parcel.requests)
                self._settled.append(segment)
            else:
                self._queued_bytes += parcel.size
                self._queued_spans += sum(request.amount for request in parcel.requests)
                self._parcels.append(parcel)
                self._condition.notify()

    def settled(self) -> list[str]:
        """Return the segments that were sent or given up since the last call."""
        with self._condition:
            settled, self._settled = self._settled, []
        return settled

    def counts(self) -> Mapping[str, int]:
        """Return the spans since the start by what became of them.

        `sent`, `rejected` (of a request that was taken), `dropped` (the queue was full), `failed`.
        """
        with self._condition:
            return dict(self._counts)

    def queue(self) -> tuple[int, int]:
        """Return how many encoded bytes wait, and how many may."""
        with self._condition:
            return self._queued_bytes, self._queue_bytes

    def held(self) -> int:
        """Return how many spans were sent or wait for it, since the start."""
        with self._condition:
            return self._counts["sent"] + self._queued_spans

    def close(self, timeout_s: float) -> None:
        """Send what is queued for at most `timeout_s`, then stop; the rest stays unsettled."""
        with self._condition:
            self._is_closing = True
            self._condition.notify()
        self._thread.join(timeout_s)
        self._transport.shutdown()

    def _requests(self, encoded: Iterable[Spans]) -> Iterable[Request]:
        batch: list[bytes] = []
        size = amount = 0
        for spans in encoded:
            if batch and size + len(spans.encoded) > _REQUEST_BYTES:
                yield Request(self._envelope.seal(batch), amount)
                batch, size, amount = [], 0, 0
            if spans.amount:
                batch.append(spans.encoded)
                size += len(spans.encoded)
                amount += spans.amount
        if batch:
            yield Request(self._envelope.seal(batch), amount)

    def _run(self) -> None:
        while (parcel := self._next()) is not None:
            if not self._deliver(parcel):
                return

    def _next(self) -> _Parcel | None:
        with self._condition:
            self._condition.wait_for(lambda: self._parcels or self._is_closing)
            return self._parcels[0] if self._parcels else None

    def _deliver(self, parcel: _Parcel) -> bool:
        """Send one parcel, or give it up; return `False` when closing leaves it unsettled."""
        backoff_s = self._patience.first_backoff_s
        while parcel.requests:
            answer = self._transport.send(parcel.requests[0])
            if answer is Answer.BUSY:
                with self._condition:
                    if self._condition.wait_for(lambda: self._is_closing, backoff_s):
                        return False
                backoff_s = min(2 * backoff_s, _LONGEST_BACKOFF_S)
                if time.monotonic() < parcel.give_up_at_s:
                    continue
            self._take_off(parcel, "sent" if answer is Answer.ACCEPTED else "failed")
            backoff_s = self._patience.first_backoff_s
        with self._condition:
            self._parcels.popleft()
            self._queued_bytes -= parcel.size
            self._settled.append(parcel.segment)
        return True

    def _take_off(self, parcel: _Parcel, result: str) -> None:
        request = parcel.requests.popleft()
        rejected = self._transport.rejected if result == "sent" else 0
        with self._condition:
            self._counts[result] += request.amount - rejected
            self._counts["rejected"] += rejected
            self._queued_spans -= request.amount


def span_export_from_env(
    environ: Mapping[str, str],
    resource: Mapping[str, Value],
    *,
    encoder: SpanEncoder | None = None,
    patience: Patience = PATIENCE,
) -> SpanExport | None:
    """Open the export that the standard variables ask for; `None` when they name no endpoint.

    `environ` must be the process's own (`os.environ`): the SDK's exporters read headers from there.
    Raises `ConfigError` on a variable that is wrong.
    """
    settings = read_settings(environ, "traces")
    if settings is None:
        return None
    envelope = Envelope(
        resource, names.SCOPE, version=version(names.SERVICE), schema_url=names.SCHEMA_URL
    )
    encode_with = encoder or SpanEncoder()
    return SpanExport(open_transport(settings), encode_with, envelope, patience=patience)
