"""A receipt that one of the printers cannot take: the books go on, and say so."""

import pytest
from tests.gateway.books.conftest import Desk
from tests.gateway.spool.receipts import receipt_line
from tests.gateway.spool.segments import lay


def fail(*_: object) -> None:
    raise ZeroDivisionError


def test_a_receipt_that_cannot_be_billed_is_entered_without_a_cost(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    lay(desk.spool, [receipt_line("a1")])
    books = desk.open()
    books._bill = fail  # type: ignore[assignment]  # a fault put in place

    desk.work()

    assert desk.registry.read()["calls ok "] == 1
    assert desk.files() == []
    assert "ZeroDivisionError" in caplog.text


def test_a_receipt_that_cannot_be_counted_is_counted_as_dropped(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    lay(desk.spool, [receipt_line("a1")])
    desk.open()
    desk.registry.enter = fail  # type: ignore[assignment]  # a fault put in place

    desk.work()

    assert desk.registry.read()["spanmeter_receipts_dropped_total entry_failed"] == 1
    assert desk.files() == []
    assert "ZeroDivisionError" in caplog.text


def test_spans_that_cannot_be_printed_do_not_keep_their_segment(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    lay(desk.spool, [receipt_line("a1")])
    desk.open()
    desk.spans.offer = fail  # type: ignore[assignment]  # a fault put in place

    desk.work()

    assert desk.registry.read()["spanmeter_spans_total failed"] == 1
    assert desk.files() == []
    assert "ZeroDivisionError" in caplog.text
