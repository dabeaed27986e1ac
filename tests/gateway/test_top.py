import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from rich.console import Console

from spanmeter_gateway import top_table
from spanmeter_gateway.errors import BooksUnreachable
from spanmeter_gateway.top import Health, Row, fetch, quantile, read, rows, total

EXPOSITION = """\
# TYPE spanmeter_calls_total counter
spanmeter_calls_total{spanmeter_feature="search",spanmeter_outcome="ok",gen_ai_request_model="a"} 90
spanmeter_calls_total{spanmeter_feature="search",spanmeter_outcome="ok",gen_ai_request_model="b"} 5
spanmeter_calls_total{spanmeter_feature="search",spanmeter_outcome="provider_error"} 4
spanmeter_calls_total{spanmeter_feature="search",spanmeter_outcome="cancelled"} 1
spanmeter_calls_total{spanmeter_feature="chat",spanmeter_outcome="gateway_error"} 0
spanmeter_calls_total{spanmeter_feature="chat",spanmeter_outcome="caller_error"} 20
# TYPE spanmeter_tokens_total counter
spanmeter_tokens_total{spanmeter_feature="search",spanmeter_token_class="input"} 1000
spanmeter_tokens_total{spanmeter_feature="search",spanmeter_token_class="cache_read"} 200
spanmeter_tokens_total{spanmeter_feature="search",spanmeter_token_class="cache_write"} 30
spanmeter_tokens_total{spanmeter_feature="search",spanmeter_token_class="output"} 400
spanmeter_tokens_total{spanmeter_feature="search",spanmeter_token_class="reasoning"} 50
# TYPE spanmeter_cost_usd_total counter
spanmeter_cost_usd_total{spanmeter_feature="search",spanmeter_token_class="input"} 1.25
spanmeter_cost_usd_total{spanmeter_feature="search",spanmeter_token_class="output"} 0.5
# TYPE spanmeter_call_duration_seconds histogram
spanmeter_call_duration_seconds_bucket{spanmeter_feature="search",le="1.0"} 50
spanmeter_call_duration_seconds_bucket{spanmeter_feature="search",le="2.0"} 90
spanmeter_call_duration_seconds_bucket{spanmeter_feature="search",le="5.0"} 100
spanmeter_call_duration_seconds_bucket{spanmeter_feature="search",le="+Inf"} 100
spanmeter_call_duration_seconds_count{spanmeter_feature="search"} 100
spanmeter_call_duration_seconds_sum{spanmeter_feature="search"} 130
# TYPE spanmeter_unmetered_calls_total counter
spanmeter_unmetered_calls_total{spanmeter_feature="search",reason="not_reported"} 3
# TYPE spanmeter_unpriced_calls_total counter
spanmeter_unpriced_calls_total{spanmeter_feature="search",reason="unknown_model"} 2
# TYPE spanmeter_receipts_dropped_total counter
spanmeter_receipts_dropped_total{reason="spool_full"} 7
# TYPE spanmeter_books_lag_seconds gauge
spanmeter_books_lag_seconds 0.25
"""
SEARCH = Row(
    feature="search",
    calls=100,
    calls_per_s=None,
    errors=4,
    error_rate=0.04,
    input_tokens=1230,
    output_tokens=450,
    cost_usd=1.75,
    p95_s=3.5,
)
CHAT = Row(
    feature="chat",
    calls=20,
    calls_per_s=None,
    errors=20,
    error_rate=1.0,
    input_tokens=0,
    output_tokens=0,
    cost_usd=0.0,
    p95_s=None,
)


def test_each_feature_is_one_row_and_the_busiest_is_first() -> None:
    reading = read(EXPOSITION, at_s=0)

    assert rows(reading, None) == [SEARCH, CHAT]


def test_the_total_adds_all_features() -> None:
    reading = read(EXPOSITION, at_s=0)

    assert total(reading, None) == Row(
        feature="all",
        calls=120,
        calls_per_s=None,
        errors=24,
        error_rate=0.2,
        input_tokens=1230,
        output_tokens=450,
        cost_usd=1.75,
        p95_s=3.5,
    )


def test_health_adds_what_the_sums_leave_out() -> None:
    reading = read(EXPOSITION, at_s=0)

    assert reading.health == Health(unmetered=3, unpriced=2, dropped=7, lag_s=0.25)


def test_without_metrics_everything_unknown_is_unknown_and_not_zero() -> None:
    reading = read("", at_s=0)

    assert (rows(reading, None), total(reading, None).error_rate) == ([], None)
    assert reading.health == Health(lag_s=None)


def test_calls_per_second_are_those_since_the_reading_before() -> None:
    before = read('spanmeter_calls_total{spanmeter_feature="search"} 80', at_s=10)
    now = read(EXPOSITION, at_s=12)

    assert [row.calls_per_s for row in rows(now, before)] == [10, 10]
    assert total(now, before).calls_per_s == 20


def test_counters_that_began_anew_give_no_rate() -> None:
    before = read(EXPOSITION, at_s=10)
    now = read('spanmeter_calls_total{spanmeter_feature="search"} 1', at_s=12)

    assert [row.calls_per_s for row in rows(now, before)] == [None]


@pytest.mark.parametrize(
    ("calls_by_bound_s", "expected_s"),
    [
        ({1.0: 10, 2.0: 20, float("inf"): 20}, 1.9),
        ({1.0: 100, float("inf"): 100}, 0.95),
        ({1.0: 5, 2.0: 10, float("inf"): 100}, 2.0),
        ({1.0: 0, 2.0: 0, 4.0: 10, float("inf"): 10}, 3.9),
        ({1.0: 0, float("inf"): 0}, None),
        ({}, None),
    ],
)
def test_a_quantile_is_interpolated_as_prometheus_does(
    calls_by_bound_s: dict[float, float], expected_s: float | None
) -> None:
    assert quantile(0.95, calls_by_bound_s) == expected_s


class _Books(BaseHTTPRequestHandler):
    status = 200
    text = EXPOSITION

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/metrics?peek=true" else 404)
        self.end_headers()
        self.wfile.write(self.text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _BrokenBooks(_Books):
    status = 503


@pytest.fixture
def books(request: pytest.FixtureRequest) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), getattr(request, "param", _Books)) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_json_holds_features_total_and_health(books: str) -> None:
    written = json.loads(top_table.as_json(books))

    assert [row["feature"] for row in written["features"]] == ["search", "chat"]
    assert written["total"]["cost_usd"] == 1.75
    assert written["health"] == {"unmetered": 3, "unpriced": 2, "dropped": 7, "lag_s": 0.25}


def test_one_table_shows_every_number(books: str) -> None:
    shown = io.StringIO()

    top_table.once(Console(file=shown, width=120), books)

    lines = [" ".join(line.split()) for line in shown.getvalue().splitlines() if line.strip()]
    assert [lines[0], *lines[2:]] == [
        "feature calls calls/s errors err % tok in tok out cost USD p95 s",
        "search 100 - 4 4.0 1,230 450 1.7500 3.50",
        "chat 20 - 20 100.0 0 0 0.0000 -",
        "all 120 - 24 20.0 1,230 450 1.7500 3.50",
        "unmetered 3 unpriced 2 receipts dropped 7 books lag 0.2 s",
        f"{books}/metrics",
    ]


class _Interrupted(Exception):
    """Stands for Ctrl-C."""


def _interrupt_at(count: int) -> Iterator[None]:
    yield from [None] * (count - 1)
    raise _Interrupted


def test_a_table_fits_a_terminal_of_eighty_columns(books: str) -> None:
    shown = io.StringIO()

    top_table.once(Console(file=shown, width=80, force_terminal=True, color_system=None), books)

    assert "…" not in shown.getvalue()
    assert "calls/s" in shown.getvalue()


class _BusyBooks(_Books):
    """Thirty features, of which the last has a long name."""

    features = (*(f"checkout-{number}" for number in range(10, 39)), "checkout-of-a-very-long-name")
    text = "".join(
        f'spanmeter_calls_total{{spanmeter_feature="{feature}"}} 100000\n'
        f'spanmeter_tokens_total{{spanmeter_feature="{feature}",spanmeter_token_class="input"}} '
        "1947900\n"
        f'spanmeter_cost_usd_total{{spanmeter_feature="{feature}"}} 2500\n'
        for feature in features
    )


def lines_on(console: Console, url: str) -> list[str]:
    """Show the live table once; the lines, with single blanks."""
    with pytest.raises(_Interrupted):
        top_table.follow(console, url, sleep=lambda _: next(_interrupt_at(1)))
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def terminal(width: int, height: int) -> Console:
    return Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None
    )


@pytest.mark.parametrize("books", [_BusyBooks], indirect=True)
@pytest.mark.parametrize(
    ("width", "headings", "first", "longest"),
    [
        (
            120,
            "feature calls calls/s errors err % tok in tok out cost USD p95 s",
            "checkout-10",
            "checkout-of-a-very-long-name",
        ),
        (
            80,
            "feature calls errors err % tok in cost USD p95 s",
            "checkout-10",
            "checkout-of-a-very-long…",
        ),
        (60, "feature calls errors err % cost USD", "checkout-10", "checkout-of-a-very…"),
        (20, "feature calls", "checko…", "checko…"),
    ],
)
def test_a_narrow_terminal_loses_numbers_and_never_the_features(
    books: str, *, width: int, headings: str, first: str, longest: str
) -> None:
    lines = lines_on(terminal(width, 60), books)

    assert lines[1] == headings
    assert [line.partition(" ")[0] for line in lines[3:33]][::29] == [first, longest]


@pytest.mark.parametrize("books", [_BusyBooks], indirect=True)
def test_the_total_stays_on_a_short_terminal_which_says_what_it_leaves_out(books: str) -> None:
    lines = lines_on(terminal(120, 14), books)

    assert [line.split(" 100,000")[0] for line in lines[3:8]] == [
        *("checkout-10", "checkout-11", "checkout-12", "checkout-13", "checkout-14"),
    ]
    assert (lines[8], lines[10]) == ("25 more", "all 3,000,000 - 0 0.0 58.4M 0 75,000.0000 -")
    assert lines.index(f"{books}/metrics") == 13


@pytest.mark.parametrize(
    ("tokens", "shown"),
    [
        (9_999, "9,999"),
        (12_345, "12.3k"),
        (999_499, "999.5k"),
        (999_500, "1.0M"),
        (1_947_900, "1.9M"),
        (10_000_000, "10.0M"),
        (2_500_000_000, "2.5G"),
    ],
)
def test_large_counts_are_shortened(tokens: int, shown: str) -> None:
    text = io.StringIO()
    labels = 'spanmeter_feature="a",spanmeter_token_class="input"'
    reading = read(f"spanmeter_tokens_total{{{labels}}} {tokens}", at_s=0)

    console = Console(file=text, width=120)
    console.print(top_table.view(console, top_table.Shot("books:1", reading)))

    assert shown in text.getvalue().split()


def test_without_a_terminal_a_table_is_printed_again_and_again(books: str) -> None:
    shown = io.StringIO()
    sleeps = _interrupt_at(3)

    with pytest.raises(_Interrupted):
        top_table.follow(Console(file=shown, width=120), books, sleep=lambda _: next(sleeps))

    assert shown.getvalue().count("unmetered 3") == 3


class _FlakyBooks(_Books):
    statuses: ClassVar = iter([200, 503, 200])

    @property
    def status(self) -> int:  # type: ignore[override]  # as HTTPError has it
        return next(self.statuses)


@pytest.mark.parametrize("books", [_FlakyBooks], indirect=True)
def test_a_live_table_outlasts_books_that_are_away(books: str) -> None:
    shown = io.StringIO()
    sleeps = _interrupt_at(3)

    with pytest.raises(_Interrupted):
        top_table.follow(
            Console(file=shown, width=120, force_terminal=True),
            books,
            sleep=lambda _: next(sleeps),
        )

    assert "it answers 503" in shown.getvalue()


@pytest.mark.parametrize("books", [_BrokenBooks], indirect=True)
def test_books_that_answer_with_an_error_are_named_with_it(books: str) -> None:
    with pytest.raises(BooksUnreachable, match="it answers 503"):
        fetch(books)


def test_an_address_that_is_none_is_refused_in_words() -> None:
    with pytest.raises(BooksUnreachable, match="unknown url type"):
        fetch("book://localhost")


@pytest.mark.parametrize(
    "written",
    ["{host}", "{host}/", "http://{host}", "http://{host}/metrics", "{host}/metrics/"],
)
def test_an_address_may_be_written_as_people_write_it(books: str, written: str) -> None:
    assert fetch(written.format(host=books.removeprefix("http://"))) == EXPOSITION
