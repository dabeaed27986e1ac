import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from tests.gateway.telemetry.otlp_receivers import (
    OpenReceiver,
    Receiver,
    grpc_receiver,
    http_receiver,
)
from tests.gateway.telemetry.samples import BILL, a_receipt
from tests.otlp_series import labels_of, metrics_of, points_of

from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.budgets import Budgets
from spanmeter_gateway.telemetry.metric_export import MetricExport, metric_export_from_env
from spanmeter_gateway.telemetry.otlp_metrics import MetricEncoder
from spanmeter_gateway.telemetry.otlp_settings import Schedule, Temporality
from spanmeter_gateway.telemetry.otlp_transport import Answer, Request
from spanmeter_gateway.telemetry.registry import Registry

AT_ONCE = 0.01
NEVER = 3600.0
WAYS = [("http/protobuf", http_receiver), ("grpc", grpc_receiver)]
FEATURES_OF_3_REQUESTS = 400


class Backend:
    """A transport that keeps what it takes, answers as it is told, and may wait at a gate."""

    def __init__(self, *answers: Answer, gate: threading.Event | None = None) -> None:
        self.taken: list[ExportMetricsServiceRequest] = []
        self.answered = 0
        self.rejected = 0
        self.is_shut_down = False
        self._answers = list(answers)
        self._gate = gate
        self._changed = threading.Condition()

    def send(self, request: Request, within_s: float | None = None) -> Answer:
        if self._gate is not None:
            with self._changed:
                self._changed.notify_all()
            self._gate.wait(20)
        with self._changed:
            answer = self._answers.pop(0) if self._answers else Answer.ACCEPTED
            self.answered += 1
            if answer is Answer.ACCEPTED:
                self.taken.append(ExportMetricsServiceRequest.FromString(request.body))
            self._changed.notify_all()
        return answer

    def shutdown(self) -> None:
        self.is_shut_down = True

    def wait(self, amount: int) -> None:
        """Wait until so many requests were answered."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.answered >= amount, 20)

    def calls(self) -> list[int]:
        """List the points of calls that ended well, as they came."""
        return calls_in(self.taken)


def calls_in(requests: Sequence[Any]) -> list[int]:
    return [
        point.as_int
        for metric in metrics_of(requests)
        if metric.name == names.CALLS.name
        for point in points_of(metric)
        if labels_of(point)["spanmeter_outcome"] == "ok"
    ]


def export_of(
    registry: Registry,
    backend: Backend,
    folder: Path,
    *,
    interval_s: float = NEVER,
    temporality: Temporality = "cumulative",
    lock: Any = None,
) -> MetricExport:
    return MetricExport(
        backend,
        MetricEncoder({}, temporality=temporality, started_at_ns=1),
        registry,
        lock=lock or threading.Lock(),
        schedule=Schedule(interval_s, 30.0, temporality),
        deltas_path=folder / "deltas.json",
    )


@contextmanager
def running(export: MetricExport) -> Iterator[MetricExport]:
    export.start()
    try:
        yield export
    finally:
        export.close(20)


def test_everything_is_sent_again_and_again_and_what_is_new_stands_at_0_first(tmp_path: Path):
    registry, backend = Registry(), Backend()
    registry.enter(a_receipt(), BILL)

    with running(export_of(registry, backend, tmp_path, interval_s=AT_ONCE)) as export:
        backend.wait(3)

    assert backend.calls()[:3] == [0, 1, 1]
    assert export.counts() == {"sent": backend.answered, "rejected": 0, "failed": 0}
    assert backend.is_shut_down


def test_the_last_export_shows_what_is_new_at_0_and_then_as_it_is(tmp_path: Path):
    registry, backend = Registry(), Backend()

    with running(export_of(registry, backend, tmp_path)) as export:
        registry.enter(a_receipt(), BILL)

    assert (backend.calls(), export.counts()) == ([0, 1], {"sent": 2, "rejected": 0, "failed": 0})


def test_an_export_of_which_points_were_not_taken_is_rejected_and_not_sent_again(tmp_path: Path):
    registry, backend = Registry(), Backend()
    backend.rejected = 1
    export = export_of(registry, backend, tmp_path)
    with running(export):
        pass

    assert export.counts()["sent"] == export.counts()["failed"] == 0
    assert export.counts()["rejected"] == backend.answered > 0


def test_the_last_export_is_one_when_nothing_is_new(tmp_path: Path):
    registry, backend = Registry(), Backend()
    registry.enter(a_receipt(), BILL)
    restored = Registry()
    restored.restore(registry.changed())

    with running(export_of(restored, backend, tmp_path)) as export:
        pass

    assert (backend.calls(), export.counts()) == ([1], {"sent": 1, "rejected": 0, "failed": 0})


def test_a_failed_export_is_counted_and_its_zeros_are_shown_again(tmp_path: Path):
    registry, backend = Registry(), Backend(Answer.BUSY, Answer.REFUSED)
    registry.enter(a_receipt(), BILL)

    with running(export_of(registry, backend, tmp_path, interval_s=AT_ONCE)) as export:
        backend.wait(4)

    assert backend.calls()[:2] == [0, 1]
    assert export.counts() == {"sent": backend.answered - 2, "rejected": 0, "failed": 2}


def wide() -> Registry:
    """Make a registry with room for many features."""
    return Registry(budgets=Budgets(features=10_000, series=1_000_000))


def fill(registry: Registry) -> Registry:
    """Count calls of so many features that they do not fit into one request."""
    for number in range(FEATURES_OF_3_REQUESTS):
        registry.enter(a_receipt(feature=f"feature-{number:090}"), BILL)
    return registry


@pytest.mark.parametrize(
    ("answers", "answered"),
    [((Answer.REFUSED,), 3), ((Answer.ACCEPTED, Answer.BUSY), 2)],
)
def test_after_a_refused_request_the_rest_is_sent_and_after_a_busy_one_it_is_not(
    tmp_path: Path, answers: tuple[Answer, ...], answered: int
):
    backend = Backend(*answers)

    with running(export_of(fill(wide()), backend, tmp_path)) as export:
        pass

    assert backend.answered == answered
    assert export.counts() == {"sent": 0, "rejected": 0, "failed": 1}


class Picky(Backend):
    """A backend that never takes a request in which one metric stands."""

    def __init__(self, metric: names.Metric) -> None:
        super().__init__()
        self._name = metric.name.encode()

    def send(self, request: Request, within_s: float | None = None) -> Answer:
        self._answers = [Answer.REFUSED if self._name in request.body else Answer.ACCEPTED]
        return super().send(request, within_s)


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_what_is_accepted_is_new_no_more_though_other_requests_never_are(
    tmp_path: Path, temporality: Temporality
):
    registry, backend, lock = wide(), Picky(names.CALLS), threading.Lock()
    options = {"interval_s": AT_ONCE, "temporality": temporality, "lock": lock}

    with running(export_of(registry, backend, tmp_path, **options)) as export:
        with lock:
            fill(registry)
        backend.wait(backend.answered + 4 * 3)

    last = f"feature-{FEATURES_OF_3_REQUESTS - 1:090}"
    tokens = [
        point.sum
        for metric in metrics_of(backend.taken)
        if metric.name == names.OPERATION_OUTPUT.name
        for point in points_of(metric)
        if labels_of(point)["spanmeter_feature"] == last
    ]
    assert tokens[:2] == [0, 20]
    assert export.counts()["sent"] == 0


@pytest.mark.parametrize("restarts", [False, True])
def test_deltas_add_up_whatever_fails(tmp_path: Path, restarts: bool):  # noqa: FBT001 - the case
    registry = Registry()
    backend = Backend(Answer.ACCEPTED, Answer.BUSY, Answer.REFUSED, Answer.ACCEPTED, Answer.BUSY)
    lock = threading.Lock()
    options = {"interval_s": AT_ONCE, "temporality": "delta", "lock": lock}

    for amount in range(3):
        with running(export_of(registry, backend, tmp_path, **options)):
            for _ in range(10):
                with lock:
                    registry.enter(a_receipt(), BILL)
            backend.wait(3 * (amount + 1))
        if restarts:
            again = Registry()
            again.restore(registry.changed())
            registry = again

    assert sum(backend.calls()) == 30


def test_who_goes_back_to_deltas_begins_anew(tmp_path: Path):
    registry, backend = Registry(), Backend()
    with running(export_of(registry, Backend(), tmp_path, temporality="delta")):
        registry.enter(a_receipt(), BILL)
    with running(export_of(registry, Backend(), tmp_path)):
        registry.enter(a_receipt(), BILL)

    with running(export_of(registry, backend, tmp_path, temporality="delta")):
        registry.enter(a_receipt(), BILL)

    assert sum(backend.calls()) == 1


def test_books_are_not_held_up_by_a_backend_that_never_answers(tmp_path: Path):
    gate = threading.Event()
    registry, lock, backend = Registry(), threading.Lock(), Backend(gate=gate)
    export = export_of(registry, backend, tmp_path, interval_s=AT_ONCE, lock=lock)
    export.start()
    with backend._changed:
        assert backend._changed.wait(20)

    is_free = lock.acquire(timeout=10)
    lock.release()
    export.close(0.01)

    assert (is_free, backend.answered) == (True, 0)
    assert export.counts() == {"sent": 0, "rejected": 0, "failed": 0}
    gate.set()
    export._thread.join(20)
    assert not export._thread.is_alive()


def test_one_odd_series_does_not_end_all_exports(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    registry, backend = Registry(), Backend()
    registry.set_gauge(names.BOOKS_LAG.prometheus_name, ("a label too many",), 1)

    with running(export_of(registry, backend, tmp_path)) as export:
        pass

    assert export.counts() == {"sent": 0, "rejected": 0, "failed": 1}
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.ERROR, "metrics could not be encoded: ValueError")
    ]


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    return monkeypatch


def from_env(registry: Registry, folder: Path) -> MetricExport | None:
    return metric_export_from_env(os.environ, {}, registry, lock=threading.Lock(), folder=folder)


@pytest.mark.parametrize(("protocol", "serve"), WAYS)
def test_the_standard_variables_say_where_how_and_how_often(
    environ: pytest.MonkeyPatch, tmp_path: Path, protocol: str, serve: OpenReceiver
):
    registry = Registry()
    registry.enter(a_receipt(), BILL)
    with serve(Receiver()) as receiver:
        environ.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        environ.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        environ.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
        export = from_env(registry, tmp_path)
        assert export is not None

        with running(export):
            receiver.wait(lambda: len(receiver.requests) >= 2)

        assert calls_in(receiver.requests)[:2] == [0, 1]


def test_nothing_is_exported_unless_an_endpoint_is_named(
    environ: pytest.MonkeyPatch, tmp_path: Path
):
    environ.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4318")

    assert from_env(Registry(), tmp_path) is None


def test_an_unknown_temporality_is_told(
    environ: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    environ.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318")
    environ.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "sideways")

    from_env(Registry(), tmp_path)

    assert [record.getMessage() for record in caplog.records] == [
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: 'sideways' is not known; metrics are "
        "cumulative"
    ]
