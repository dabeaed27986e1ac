"""A file of counters that is damaged: books start from it, or say in one line what to do."""

import random
import shutil
from pathlib import Path

import pytest
from tests.gateway.books.conftest import Desk, just_after
from tests.gateway.books.doubles import PlainSpans, flat_bill
from tests.gateway.spool.receipts import open_line, receipt_line
from tests.gateway.spool.segments import lay

from spanmeter_gateway.books.counters import Counters
from spanmeter_gateway.books.entry import Books
from spanmeter_gateway.errors import StartError
from spanmeter_gateway.telemetry.registry import Registry

FLIPS = 100
SAID = ("; move it away, and the counters start from 0 again", "upgrade this one", "using it?")


@pytest.fixture
def file(desk: Desk, tmp_path: Path) -> Path:
    """Give a file of counters that has a bit of everything."""
    lay(desk.spool, [open_line("a1"), receipt_line("b2")], written=1)
    path = tmp_path / "real.sqlite"
    start(desk, path)
    return path


def start(desk: Desk, path: Path) -> str | None:
    """Start books on a file and let them work; why they do not, if they do not."""
    try:
        counters = Counters(path)
    except StartError as error:
        return str(error)
    try:
        books = Books(
            desk.spool,
            bill=flat_bill,
            registry=Registry(clock_ns=just_after),
            span_export=PlainSpans(),
            counters=counters,
            board=desk.board,
            clock_ns=just_after,
        )
        books.enter_ready()
    except StartError as error:
        return str(error)
    finally:
        counters.close()
    return None


def test_whatever_bits_are_flipped_books_start_or_say_what_to_do(
    desk: Desk, file: Path, tmp_path: Path
) -> None:
    whole = file.read_bytes()
    chosen = random.Random(7)
    reasons = []

    for _ in range(FLIPS):
        damaged = bytearray(whole)
        damaged[chosen.randrange(len(whole))] ^= 1 << chosen.randrange(8)
        path = tmp_path / "damaged.sqlite"
        path.write_bytes(damaged)
        reasons.append(start(desk, path))

    refused = [reason for reason in reasons if reason is not None]
    assert refused
    assert [reason for reason in refused if not reason.endswith(SAID)] == []


def test_a_file_cut_anywhere_is_refused_or_empty(desk: Desk, file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    reasons = []

    for length in range(512, len(whole), 512):
        path = tmp_path / "cut.sqlite"
        path.write_bytes(whole[:length])
        reasons.append(start(desk, path))

    assert None not in reasons
    assert [reason for reason in reasons if not str(reason).endswith(SAID)] == []


def test_a_file_that_was_moved_away_is_begun_anew(desk: Desk, file: Path, tmp_path: Path) -> None:
    shutil.move(file, tmp_path / "aside.sqlite")

    assert start(desk, file) is None
