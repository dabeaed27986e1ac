"""Whatever lies in the spool: what is whole is entered, the rest moved aside, counted, and passed.

With the real registry, price list, spans and printers, so that nothing poisons any of them.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.gateway.books.conftest import AT_ONCE, just_after
from tests.gateway.spool.receipts import open_line, receipt_line
from tests.gateway.spool.segments import lay, lay_newer

from spanmeter.usage import Usage
from spanmeter_gateway.board import Board
from spanmeter_gateway.books.counters import Counters
from spanmeter_gateway.books.entry import Books, Pace
from spanmeter_gateway.metering.prices import PriceBook
from spanmeter_gateway.receipt import Attempt
from spanmeter_gateway.telemetry.exposition import render
from spanmeter_gateway.telemetry.otlp import Envelope
from spanmeter_gateway.telemetry.otlp_metrics import MetricEncoder
from spanmeter_gateway.telemetry.otlp_transport import Answer, Request
from spanmeter_gateway.telemetry.registry import Registry
from spanmeter_gateway.telemetry.span_export import SpanExport
from spanmeter_gateway.telemetry.spans import SpanEncoder

PRICES = PriceBook([])
ATTEMPT = Attempt(
    span_id="1" * 16,
    upstream="o",
    provider="openai",
    started_at_ns=5,
    duration_ns=5,
    model="gpt-4o",
)
LINE = receipt_line(
    "b1",
    operation="chat",
    attempts=(ATTEMPT,),
    usage=Usage(input_tokens=12, output_tokens=3),
    parameters={"temperature": 1, "max_tokens": 5},
)
NOBODY = 65534
NAME = "0aa1-000-0000000001.ndjson"


class Taker:
    """A transport that takes everything."""

    rejected = 0

    def send(self, _request: Request, _within_s: float | None = None) -> Answer:
        return Answer.ACCEPTED

    def shutdown(self) -> None:
        """Do nothing."""


class Office:
    """Books with everything real around them, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.spool = folder / "spool"
        self.spool.mkdir()
        self._board = Board.create(folder / "board", workers=1)
        self._counters = Counters(folder / "books.sqlite")

    @contextmanager
    def books(self) -> Iterator[tuple[Books, Registry]]:
        registry = Registry(clock_ns=just_after)
        spans = SpanExport(Taker(), SpanEncoder(), Envelope({}, "s", version="1", schema_url=""))
        books = Books(
            self.spool,
            bill=PRICES.bill,
            registry=registry,
            span_export=spans,
            counters=self._counters,
            board=self._board,
            clock_ns=just_after,
            pace=Pace(**AT_ONCE),
        )
        yield books, registry
        spans.close(5)
        books.enter_ready()

    def work(self) -> dict[str, int]:
        """Enter what there is, print it all, and count the segments by what became of them."""
        with self.books() as (books, registry):
            while books.enter_ready():
                pass
            render(registry, "application/openmetrics-text")
            families = registry.collect()
            encoder = MetricEncoder({}, temporality="cumulative", started_at_ns=1)
            assert list(encoder.encode(families, registry.gauges(), now_ns=2))
        sunk = [
            (family.metric.name, point.labels)
            for family in families
            for point in family.points
            if min(point.numbers) < 0
        ]
        assert sunk == []
        return {
            point.labels[0]: registry.counter(family.metric, point.labels).total
            for family in families
            if family.metric.prometheus_name == "spanmeter_segments_total"
            for point in family.points
        }


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def a_line_with(old: bytes, new: bytes) -> Callable[[Path], object]:
    changed = LINE.replace(old, new)
    assert changed != LINE
    return lambda spool: lay(spool, [changed])


DEEP = b"[" * 5000 + b"]" * 5000
DAMAGED: dict[str, Callable[[Path], object]] = {
    "no bytes": lambda spool: lay(spool).write_bytes(b""),
    "a deep header": lambda spool: lay(spool).write_bytes(b'{"format":1,"x":' + DEEP + b"}\n"),
    "a deep line": a_line_with(b'"temperature":1', b'"temperature":' + DEEP),
    "a number beyond floats": a_line_with(b'"temperature":1', b'"temperature":1e400'),
    "a float for a duration": a_line_with(b'"duration_ns":1000', b'"duration_ns":1e400'),
    "40 digits for a duration": a_line_with(b'"duration_ns":1000', b'"duration_ns":' + b"9" * 40),
    "a negative duration": a_line_with(b'"duration_ns":1000', b'"duration_ns":-1000'),
    "negative tokens": a_line_with(b'"input_tokens":12', b'"input_tokens":-12'),
    "tokens beyond 64 bits": a_line_with(b'"input_tokens":12', b'"input_tokens":%d' % 2**64),
    "before 1970": a_line_with(b'"started_at_ns":17', b'"started_at_ns":-17'),
    "the year 9999": a_line_with(
        b'"started_at_ns":1700000000', b'"started_at_ns":253402300799'
    ),
    "an unknown outcome": a_line_with(b'"outcome":"ok"', b'"outcome":"fine"'),
    "a lone surrogate": a_line_with(b'"checkout"', b'"\\ud800"'),
    "no UTF-8": a_line_with(b'"checkout"', b'"\xff\xfe"'),
    "an absurd total": lambda spool: lay(spool, [LINE], written=-5),
    "no trace id": a_line_with(b'"trace_id":"' + b"0" * 30, b'"trace_id":"' + b"z" * 30),
    "no span id": a_line_with(b'"span_id":"1111', b'"span_id":"1 11'),
    "a directory": lambda spool: (spool / NAME).mkdir(),
    "a link to an endless device": lambda spool: (spool / NAME).symlink_to("/dev/zero"),
    "a link to nowhere": lambda spool: (spool / NAME).symlink_to("/no"),
    "a pipe that nobody writes": lambda spool: os.mkfifo(spool / NAME),
    "a hole of 4 GB": lambda spool: os.truncate(lay(spool), 4 << 30),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_what_is_damaged_is_moved_aside_and_counted_and_the_next_is_entered(
    office: Office, damage: Callable[[Path], object]
) -> None:
    damage(office.spool)
    lay(office.spool, [LINE], incarnation="0bb2")

    seen = office.work()

    assert seen == {"entered": 1, "parked": 0, "quarantined": 1}
    assert [path.name for path in office.spool.iterdir() if path.suffix == ".ndjson"] == []
    assert len(list((office.spool / "quarantine").iterdir())) == 1
    assert office.work() == seen


ODD: dict[str, Callable[[Path], object]] = {
    "1970": a_line_with(b'"started_at_ns":1700000000000000000', b'"started_at_ns":0'),
    "a line of 10 MB": lambda spool: lay(spool, [receipt_line("a1", feature="x" * 10_000_000)]),
    "most tokens": a_line_with(b'"input_tokens":12', b'"input_tokens":%d' % (2**62 - 1)),
    "an empty name": a_line_with(b'"checkout"', b'""'),
    "control characters": a_line_with(b'"checkout"', b'"a\\u0000\\n\\u001b\\u2028"'),
    "a cost that is none": lambda spool: lay(
        spool, [receipt_line(f"a{n}", reported_cost_usd=text) for n, text in enumerate(
            ("1e999999", "NaN", "-5", "Infinity", "", "abc"))]
    ),
    "the largest sequence": lambda spool: lay(spool, [LINE], sequence=9_999_999_999),
    "one call twice": lambda spool: lay(spool, [LINE, LINE]),
    "foreign directories": lambda spool: [
        (spool / name).mkdir()
        for name in ("0cc3-000-0000000001.part", "0cc3-000.alive", "notes.ndjson")
    ] and lay(spool, [LINE]),
    "a pipe for a part": lambda spool: os.mkfifo(
        spool / "0cc3-000-0000000001.part"
    ) or lay(spool, [LINE]),
}  # fmt: skip


@pytest.mark.parametrize("oddity", ODD.values(), ids=ODD)
def test_what_is_odd_but_whole_is_entered_and_poisons_nothing(
    office: Office, oddity: Callable[[Path], object]
) -> None:
    oddity(office.spool)
    lay(office.spool, [LINE], incarnation="0bb2")

    seen = office.work()

    assert seen == {"entered": 2, "parked": 0, "quarantined": 0}
    assert office.work() == seen


def test_a_segment_torn_at_any_byte_is_entered_whole_or_not_at_all(office: Office) -> None:
    whole = lay(office.spool, [open_line("a1"), LINE], written=1).read_bytes()

    for sequence, length in enumerate(range(len(whole)), start=1):
        lay(office.spool, sequence=sequence).write_bytes(whole[:length])
    seen = office.work()

    assert seen == {"entered": 0, "parked": 0, "quarantined": len(whole)}


def test_a_segment_with_any_bit_flipped_stops_nothing(office: Office) -> None:
    """Only a header may read well with a flip in it: the lines have its checksum."""
    whole = lay(office.spool, [LINE], incarnation="0bb2", written=1).read_bytes()
    body_bytes = len(whole) - whole.index(b"\n")
    flips = [(at, 1 << bit) for at in range(len(whole)) for bit in (0, 4, 7)]

    for sequence, (at, bit) in enumerate(flips, start=2):
        flipped = bytearray(whole)
        flipped[at] ^= bit
        path = lay(office.spool, incarnation="0bb2", sequence=sequence)
        # Its own name, so that what is damaged is the content.
        path.write_bytes(flipped.replace(b'"sequence":1,', b'"sequence":%d,' % sequence))
    seen = office.work()

    assert sum(seen.values()) == len(flips) + 1
    assert seen["quarantined"] > 3 * body_bytes
    assert Counter(path.suffix for path in office.spool.iterdir())[".ndjson"] == 0
    assert office.work() == seen


def test_a_name_that_was_quarantined_before_is_quarantined_again(office: Office) -> None:
    for content in (b"first\n", b"second\n"):
        lay(office.spool).write_bytes(content)
        seen = office.work()

    assert seen == {"entered": 0, "parked": 0, "quarantined": 2}


def test_a_segment_that_may_not_be_read_waits_and_holds_nothing_up() -> None:
    # Not below pytest's folder, which another user may not enter.
    with tempfile.TemporaryDirectory() as folder, another_user(Path(folder)):
        office = Office(Path(folder))
        hidden = lay(office.spool, [LINE])
        lay_newer(office.spool, sequence=2)
        lay(office.spool, [LINE], incarnation="0bb2")
        hidden.chmod(0)
        meanwhile = office.work()
        hidden.chmod(0o600)
        after = office.work()

    assert meanwhile == {"entered": 1, "parked": 1, "quarantined": 0}
    assert after == {"entered": 2, "parked": 1, "quarantined": 0}


@contextmanager
def another_user(folder: Path) -> Iterator[None]:
    """Be nobody for a while, where we are root, whom no file is hidden from."""
    user = os.geteuid()
    if user == 0:
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)
