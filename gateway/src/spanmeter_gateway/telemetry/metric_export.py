"""All metrics on their way out over OTLP: one thread that reads the registry now and then.

Nothing is queued: an export that fails is forgotten, as the next one has everything. The books'
lock is held only while totals are copied. A series that is new stands at 0 in the first export
that is accepted, so that a receiver sees its first event as a step.
"""

import logging
import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from spanmeter_gateway.telemetry.cells import Reader
from spanmeter_gateway.telemetry.metric_deltas import Deltas
from spanmeter_gateway.telemetry.otlp import Value
from spanmeter_gateway.telemetry.otlp_metrics import MetricEncoder, Piece, SeriesKey
from spanmeter_gateway.telemetry.otlp_settings import (
    Schedule,
    ignored_temporality,
    read_schedule,
    read_settings,
)
from spanmeter_gateway.telemetry.otlp_transport import Answer, Transport, open_transport
from spanmeter_gateway.telemetry.registry import Family, Registry

_DELTAS = "otlp-deltas.json"

_log = logging.getLogger(__name__)


class MetricExport:
    """Send the metrics of a registry; one thread from `start` to `close`.

    `lock` is the books': the registry is read only while it is held. `deltas_path` is where deltas
    remember what they are counted from, when deltas are wanted.
    """

    def __init__(
        self,
        transport: Transport,
        encoder: MetricEncoder,
        registry: Registry,
        *,
        lock: AbstractContextManager[object],
        schedule: Schedule,
        deltas_path: Path,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._transport = transport
        self._encoder = encoder
        self._registry = registry
        self._lock = lock
        self._schedule = schedule
        self._deltas_path = deltas_path
        self._deltas: Deltas | None = None
        self._clock_ns = clock_ns
        self._counts = {"sent": 0, "rejected": 0, "failed": 0}
        self._rejected = 0
        self._timeout_s = schedule.timeout_s
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metric-export", daemon=True)

    def start(self) -> None:
        """Begin, when the registry is restored; raises `OSError` on the file of deltas."""
        if self._schedule.temporality == "delta":
            with self._lock:
                families = self._registry.collect(Reader.NONE)
            self._deltas = Deltas(self._deltas_path, families, now_ns=self._clock_ns())
        else:
            # Who goes back to deltas starts anew: meanwhile the backend was told totals.
            self._deltas_path.unlink(missing_ok=True)
        self._thread.start()

    def counts(self) -> Mapping[str, int]:
        """Return the exports since the start by what became of them.

        `sent` (every request of it), `rejected` (the same, but for some points), `failed`.
        """
        return dict(self._counts)

    def close(self, timeout_s: float) -> None:
        """Export a last time, for at most `timeout_s`, then stop."""
        self._timeout_s = min(timeout_s, self._timeout_s)
        self._closing.set()
        self._thread.join(timeout_s)
        self._transport.shutdown()

    def _run(self) -> None:
        due_s = time.monotonic()
        while True:
            due_s = max(due_s + self._schedule.interval_s, time.monotonic())
            if self._closing.wait(due_s - time.monotonic()):
                break
            self._export()
        self._export_last()

    def _export_last(self) -> None:
        """Export what is new as 0, and then as it is: nobody comes after us to do that."""
        with self._lock:
            whole = self._registry.collect(Reader.NONE)
        shown = self._export()
        if shown not in (None, whole):
            self._export()

    def _export(self) -> list[Family] | None:
        """Export everything, and return it if it was accepted."""
        with self._lock:
            families, gauges = self._registry.collect(Reader.OTLP), self._registry.gauges()
        now_ns = self._clock_ns()
        accepted: set[SeriesKey] = set()
        is_sent = False
        self._rejected = 0
        sent = families
        try:
            if self._deltas is not None:
                sent = self._deltas.take(families, now_ns=now_ns)
            is_sent = self._send(self._encoder.encode(sent, gauges, now_ns=now_ns), accepted)
        except (OSError, TypeError, ValueError) as error:  # of one odd series, or a transport
            _log.error("metrics could not be encoded: %s", type(error).__name__)
        if self._deltas is not None and accepted:
            self._deltas.accept(accepted)
            self._deltas.save()
        result = "rejected" if self._rejected else "sent"
        self._counts[result if is_sent else "failed"] += 1
        if is_sent:
            return families
        with self._lock:
            self._registry.show_again(Reader.OTLP, _without(accepted, sent))
        return None

    def _send(self, pieces: Iterable[Piece], accepted: set[SeriesKey]) -> bool:
        """Send what can be sent in time, note its series, and say whether it was everything."""
        give_up_at_s = time.monotonic() + self._timeout_s
        is_whole = True
        for piece in pieces:
            left_s = give_up_at_s - time.monotonic()
            answer = self._transport.send(piece.request, left_s) if left_s > 0 else Answer.BUSY
            if answer is Answer.BUSY:
                return False
            if answer is Answer.ACCEPTED:
                accepted.update(piece.series)
                self._rejected += self._transport.rejected
            else:
                is_whole = False
        return is_whole


def _without(accepted: Container[SeriesKey], families: Iterable[Family]) -> Iterator[Family]:
    for family in families:
        name = family.metric.prometheus_name
        rest = [point for point in family.points if (name, point.labels) not in accepted]
        yield family._replace(points=rest)


def metric_export_from_env(
    environ: Mapping[str, str],
    resource: Mapping[str, Value],
    registry: Registry,
    *,
    lock: AbstractContextManager[object],
    folder: Path,
) -> MetricExport | None:
    """Open the export that the standard variables ask for; `None` when they name no endpoint.

    `environ` must be the process's own (`os.environ`): the SDK's exporters read headers from there.
    `folder` keeps what deltas are counted from. Raises `ConfigError` on a variable that is wrong.
    """
    settings = read_settings(environ, "metrics")
    if settings is None:
        return None
    schedule = read_schedule(environ)
    ignored = ignored_temporality(environ)
    if ignored is not None:
        _log.warning(ignored)
    encoder = MetricEncoder(
        resource, temporality=schedule.temporality, started_at_ns=time.time_ns()
    )
    return MetricExport(
        open_transport(settings),
        encoder,
        registry,
        lock=lock,
        schedule=schedule,
        deltas_path=folder / _DELTAS,
    )
