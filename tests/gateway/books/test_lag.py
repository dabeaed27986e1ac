"""A backlog that is entered between two scrapes is seen by the next ones, and counted."""

import pytest
from tests.gateway.books.conftest import Desk, just_after
from tests.gateway.spool.receipts import STARTED_AT_NS, receipt_line
from tests.gateway.spool.segments import lay

from spanmeter_gateway.books.lag import SHOWN_S, Lag

HOURS_AGO_NS = 2 * 3600 * 10**9


@pytest.mark.parametrize(
    ("lags_s", "highest_s"),
    [
        ({0: 0.0, 1: 0.5}, [0.0, 0.5]),
        ({0: 7200.0, 1: 0.0, 89: 0.0, 90: 0.0}, [7200.0, 7200.0, 7200.0, 0.0]),
        ({0: 9.0, 30: 5.0, 60: 1.0, 90: 0.0, 120: 0.0, 150: 0.0}, [9.0, 9.0, 9.0, 5.0, 1.0, 0.0]),
        ({0: 5.0, 30: 9.0, 119: 0.0, 120: 0.0}, [5.0, 9.0, 9.0, 0.0]),
        ({0: 7200.0, 10_000: 0.2}, [7200.0, 0.2]),
    ],
)
def test_a_peak_is_shown_for_its_time_and_no_longer(
    lags_s: dict[float, float], highest_s: list[float]
) -> None:
    lag = Lag(shown_s=90.0)

    seen = [lag.highest(lag_s, now_s=now_s) for now_s, lag_s in lags_s.items()]

    assert seen == highest_s


def test_a_lag_is_shown_for_longer_than_who_comes_each_minute_may_be_late() -> None:
    assert SHOWN_S > 60 + 10


def test_receipts_whose_call_ended_long_ago_are_counted_as_late(desk: Desk) -> None:
    old = receipt_line("a1", started_at_ns=STARTED_AT_NS - HOURS_AGO_NS)
    long = receipt_line("b2", started_at_ns=STARTED_AT_NS - HOURS_AGO_NS, duration_ns=HOURS_AGO_NS)
    desk.open()
    lay(desk.spool, [old, long, receipt_line("c3")])

    desk.work()

    late = desk.registry.totals["spanmeter_receipts_late_total", ()]
    assert (late, desk.registry.read()["calls ok "]) == (1, 3)


def test_a_clock_that_was_set_back_makes_no_receipt_late_and_no_lag_negative(desk: Desk) -> None:
    tomorrow_ns = just_after() + 24 * 3600 * 10**9
    lay(desk.spool, [receipt_line("a1", started_at_ns=tomorrow_ns)], written_at_ns=tomorrow_ns)
    desk.open()

    desk.work()

    assert desk.registry.totals["spanmeter_receipts_late_total", ()] == 0
    assert desk.registry.gauges["spanmeter_books_lag_seconds"] == 0.0
