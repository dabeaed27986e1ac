from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.gateway.books.doubles import PlainRegistry, PlainSpans, flat_bill
from tests.gateway.spool.receipts import STARTED_AT_NS

from spanmeter_gateway.board import Board
from spanmeter_gateway.books.counters import Counters
from spanmeter_gateway.books.entry import Books, Pace


def just_after() -> int:
    """Tell the time at which the calls of these tests have just ended."""
    return STARTED_AT_NS + 1_000_000_000


AT_ONCE = {"retry_interval_s": 0, "reconcile_interval_s": 0, "unsigned_s": 0}


class Desk:
    """Books with everything around them, on one folder; may be left and taken up again."""

    def __init__(self, folder: Path) -> None:
        self.spool = folder / "spool"
        self.spool.mkdir(exist_ok=True)
        self.board = Board.create(folder / "board", workers=2)
        self._counters_path = folder / "books.sqlite"
        self._books: Books | None = None

    def open(
        self,
        *,
        settles: bool = True,
        clock_ns: Callable[[], int] = just_after,
        **pace: float,
    ) -> Books:
        """Start books; those that were open before are left as a crash leaves them."""
        self.leave()
        self.registry = PlainRegistry()
        self.spans = PlainSpans(settles=settles)
        self.counters = Counters(self._counters_path)
        self._books = Books(
            self.spool,
            bill=flat_bill,
            registry=self.registry,
            span_export=self.spans,
            counters=self.counters,
            board=self.board,
            clock_ns=clock_ns,
            pace=Pace(**(AT_ONCE | pace)),
        )
        return self._books

    def leave(self) -> None:
        """Let go of the counters, and of nothing else."""
        if self._books:
            self.counters.close()

    def work(self) -> int:
        """Enter until there is nothing to do, and say how many segments were taken."""
        taken = 0
        while entered := self._books.enter_ready():
            taken += entered
        # Once more, to forget the names of what was deleted; a living relay may have brought more.
        return taken + self._books.enter_ready()

    def files(self) -> list[str]:
        """List what is in the spool folder."""
        return sorted(str(path.relative_to(self.spool)) for path in self.spool.rglob("*.*"))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.leave()


@pytest.fixture
def clock() -> Callable[[], int]:
    return lambda: 1_700_000_100_000_000_000
