"""With the real registry and export: what is not counted, or not sent, is the difference."""

import threading
from pathlib import Path

import pytest
from tests.gateway.books.conftest import Desk
from tests.gateway.books.doubles import flat_bill
from tests.gateway.spool.receipts import receipt_line
from tests.gateway.spool.segments import lay

from spanmeter_gateway.board import Board
from spanmeter_gateway.books.counters import Counters
from spanmeter_gateway.books.entry import Books, Pace
from spanmeter_gateway.books.main import NoSpans
from spanmeter_gateway.receipt import Attempt, Trace
from spanmeter_gateway.telemetry.otlp import Envelope
from spanmeter_gateway.telemetry.otlp_transport import Answer, Request
from spanmeter_gateway.telemetry.registry import Registry
from spanmeter_gateway.telemetry.span_export import Patience, SpanExport
from spanmeter_gateway.telemetry.spans import SpanEncoder

NONE_DIFFERS = {"receipts_calls": 0, "receipts_spans": 0, "written_entered": 0}


def fail(*_: object) -> None:
    raise ZeroDivisionError


class Backend:
    """Takes every request, or refuses it."""

    def __init__(self, answer: Answer) -> None:
        self.rejected = 0
        self._answer = answer

    def send(self, _request: Request, _within_s: float | None = None) -> Answer:
        return self._answer

    def shutdown(self) -> None:
        """Do nothing."""


class RealDesk:
    """Books with the real registry and the real export of spans."""

    def __init__(self, folder: Path, tag_keys: tuple[str, ...] = ("env",)) -> None:
        self.registry = Registry(tag_keys)
        self._folder = folder
        self._counters = Counters(folder / "books.sqlite")

    def enter(self, span_export: SpanExport | NoSpans) -> dict[str, float]:
        """Enter what is there, wait for the spans, and give the differences."""
        books = Books(
            self._folder,
            bill=flat_bill,
            registry=self.registry,
            span_export=span_export,
            counters=self._counters,
            board=Board.create(self._folder / "board", workers=1),
            pace=Pace(reconcile_interval_s=0),
        )
        pause = threading.Event()
        while books.enter_ready() or list(self._folder.glob("*.ndjson")):
            pause.wait(0.002)
        books.enter_ready()
        span_export.close(5)
        books.close()
        (gauge,) = (
            gauge
            for gauge in self.registry.gauges()
            if gauge.metric.prometheus_name == "spanmeter_reconciliation_difference"
        )
        return {pair: value for (pair,), value in gauge.values.items()}

    def spans(self) -> dict[str, int]:
        """Give the counter of spans by result."""
        (family,) = (
            family
            for family in self.registry.collect()
            if family.metric.prometheus_name == "spanmeter_spans_total"
        )
        return {point.labels[0]: cell for point in family.points for cell in point.numbers if cell}


def export_to(answer: Answer, *, queue_bytes: int = 1 << 20) -> SpanExport:
    return SpanExport(
        Backend(answer),
        SpanEncoder(),
        Envelope({}, "spanmeter", version="1", schema_url=""),
        queue_bytes=queue_bytes,
        patience=Patience(give_up_s=0, first_backoff_s=0.01),
    )


def lay_sampled(folder: Path) -> None:
    """Lay down 3 receipts that make 4 spans: of one, of three, and of none as it is unsampled."""
    trace = Trace(trace_id="0" * 31 + "1", span_id="0" * 15 + "1")
    attempts = tuple(
        Attempt(
            span_id=f"{n:016x}", upstream="u", provider="openai", started_at_ns=1, duration_ns=1
        )
        for n in (2, 3)
    )
    unsampled = Trace(trace_id=trace.trace_id, span_id=trace.span_id, sampled=False)
    lines = [
        receipt_line("a1"),
        receipt_line("b2", trace=trace, attempts=attempts),
        receipt_line("c3", trace=unsampled, attempts=attempts),
    ]
    lay(folder, lines, written=3)


@pytest.mark.parametrize(
    ("answer", "queue_bytes", "result", "missing"),
    [
        (Answer.ACCEPTED, 1 << 20, "sent", 0),
        (Answer.REFUSED, 1 << 20, "failed", 4),
        (Answer.BUSY, 1 << 20, "failed", 4),
        (Answer.ACCEPTED, 10, "dropped", 4),
    ],
)
def test_the_spans_of_the_receipts_are_sent_or_their_difference_is_named(
    tmp_path: Path, answer: Answer, queue_bytes: int, result: str, missing: int
) -> None:
    lay_sampled(tmp_path)
    desk = RealDesk(tmp_path)

    differences = desk.enter(export_to(answer, queue_bytes=queue_bytes))

    assert differences == NONE_DIFFERS | {"receipts_spans": missing}
    desk.registry.collect()  # a series is shown at 0 first, when it is new
    assert desk.spans() == {result: 4}


def test_spans_that_cannot_be_printed_are_missing(desk: Desk) -> None:
    lay_sampled(desk.spool)
    desk.open()
    desk.spans.offer = fail  # type: ignore[method-assign]  # a fault put in place

    desk.work()

    assert desk.registry.differences() == NONE_DIFFERS | {"receipts_spans": 4}
    assert desk.registry.read()["spanmeter_spans_total failed"] == 4


def test_without_an_export_no_span_is_missing(tmp_path: Path) -> None:
    lay_sampled(tmp_path)

    assert RealDesk(tmp_path).enter(NoSpans()) == NONE_DIFFERS


def test_calls_under_a_tag_that_is_no_label_any_more_are_not_missing(tmp_path: Path) -> None:
    tags = (("env", "test"), ("team", "blue"))
    lay(tmp_path, [receipt_line("a1", tags=tags)], sequence=1, written=1)
    RealDesk(tmp_path, ("env", "team")).enter(NoSpans())
    lay(tmp_path, [receipt_line("b2", kind="passthrough")], sequence=2, written=2)

    assert RealDesk(tmp_path, ("env",)).enter(NoSpans()) == NONE_DIFFERS
