"""Kill books at every step, start them again, and print what they came to each time.

A step is a call into C that has an effect outside the process: on a file or on the database. The
n-th run is killed (SIGKILL, by itself) just before its n-th step; then books run to the end.
Run as `python -m tests.gateway.books.kill_driver <folder> every|chains`; prints JSON.
"""

import fcntl
import io
import json
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from tests.gateway.books.conftest import just_after
from tests.gateway.books.doubles import PlainRegistry, PlainSpans, flat_bill
from tests.gateway.spool.receipts import open_line, receipt_line
from tests.gateway.spool.segments import lay, lay_newer, tear

from spanmeter_gateway.board import Board, Field
from spanmeter_gateway.books.counters import Counters
from spanmeter_gateway.books.entry import Books, Pace
from spanmeter_gateway.books.ports import Entry

EFFECTFUL = (sqlite3.Connection, sqlite3.Cursor, io.IOBase)
EFFECTFUL_MODULES = {"posix", "fcntl", "io", "_io"}


class LoggedSpans(PlainSpans):
    """Writes down what is offered, where a crash does not reach it."""

    def __init__(self, log: Path) -> None:
        super().__init__()
        self._log = log

    def offer(self, segment: str, entries: Sequence[Entry]) -> None:
        super().offer(segment, entries)
        with self._log.open("a") as file:
            file.writelines(f"{receipt.call_id}\n" for receipt, _ in entries)


def lay_scene(folder: Path) -> None:
    """Three dead relays, two of them untidy, and one that lives; 13 calls end, 1 goes on."""
    spool = folder / "spool"
    spool.mkdir(parents=True)
    first = {"incarnation": "0aa1"}
    begun = [open_line("a1"), open_line("a2"), receipt_line("a3")]
    lay(spool, begun, sequence=1, written=1, **first)
    lay(spool, [receipt_line("a1"), receipt_line("a4")], sequence=2, written=3, **first)
    cut = [receipt_line("a5"), receipt_line("a6")]
    part = tear(lay(spool, cut, sequence=3, written=5, **first))
    part.rename(part.with_suffix(".part"))
    (spool / "0aa1-000.alive").touch()
    second = {"incarnation": "0bb2"}
    tear(lay(spool, [receipt_line("b9")], sequence=1, written=1, **second))
    lay_newer(spool, sequence=2, **second)  # of 2 receipts, as the next one tells
    lay(spool, sequence=3, written=3, **second)
    lines = [receipt_line("b1"), open_line("b2"), receipt_line("b3")]
    lay(spool, lines, sequence=4, written=5, **second)
    third = {"incarnation": "0cc3"}
    lay(spool, [open_line("c1"), receipt_line("c2")], sequence=1, written=1, **third)
    lay(spool, [open_line("c3"), receipt_line("c3")], sequence=2, written=2, **third)
    fourth = {"incarnation": "0dd4"}
    lay(spool, [receipt_line("d1")], sequence=1, written=1, **fourth)
    lay(spool, [receipt_line("d2"), receipt_line("d3")], sequence=2, written=3, **fourth)
    (spool / "0dd4-000.alive").touch()
    alive = os.open(spool / "0cc3-000.alive", os.O_CREAT | os.O_RDWR)
    fcntl.flock(alive, fcntl.LOCK_EX)  # held by this process, its children included
    board = Board.create(folder / "board", workers=2)
    board.column(1).set(Field.RECEIPTS_DROPPED_SPOOL_FULL, 3)


def run_books(folder: Path) -> dict[str, object]:
    """Run books on a scene to the end, and say what they came to."""
    registry = PlainRegistry()
    counters = Counters(folder / "books.sqlite")
    books = Books(
        folder / "spool",
        bill=flat_bill,
        registry=registry,
        span_export=LoggedSpans(folder / "spans"),
        counters=counters,
        board=Board.open(folder / "board"),
        clock_ns=just_after,
        pace=Pace(max_segments=2, reconcile_interval_s=0, unsigned_s=0),
    )
    while books.enter_ready():
        pass
    books.enter_ready()
    saved = counters.restore()
    books.close()
    return {
        "differences": registry.differences(),
        "writers": [row.incarnation for row in saved.writers],
        "totals": dict(sorted(registry.read().items())),
        "saved": len(saved.rows) == len(registry.totals),
        "open": [row.call_id for row in saved.open_calls],
        "segments": saved.segments,
        "spans": sorted(set((folder / "spans").read_text().split())),
        "files": sorted(str(p.relative_to(folder)) for p in (folder / "spool").rglob("*.*")),
    }


def kill_before(step: int) -> Callable[[FrameType, str, object], None]:
    """Make a profile function that counts steps and ends the process."""
    count = 0

    def profile(_frame: FrameType, event: str, called: object) -> None:
        nonlocal count
        if event != "c_call" or not has_effect(called):
            return
        count += 1
        if count == step:
            os.kill(os.getpid(), signal.SIGKILL)

    return profile


def has_effect(called: object) -> bool:
    """Tell calls that matter from those that only compute."""
    owner = getattr(called, "__self__", None)
    return isinstance(owner, EFFECTFUL) or (
        getattr(called, "__module__", None) in EFFECTFUL_MODULES
    )


def run_child(work: Callable[[], object]) -> bool:
    """Run something in a child; say whether it came to its end."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFEXITED(status)


def run_killed(folder: Path, step: int) -> bool:
    """Run books until their n-th step; say whether they came to the end before it."""

    def work() -> None:
        sys.setprofile(kill_before(step))
        run_books(folder)
        sys.setprofile(None)

    return run_child(work)


def finish(folder: Path) -> dict[str, object]:
    """Start books once more, in a process of their own."""
    result = folder / "result.json"
    run_child(lambda: result.write_text(json.dumps(run_books(folder))))
    return json.loads(result.read_text())


def kill_at_every_step(folder: Path) -> tuple[int, list[dict[str, object]]]:
    """Kill at step 1, 2, 3, ... until there is no such step."""
    ends, is_done, step = [], False, 0
    while not is_done:
        step += 1
        lay_scene(folder)
        is_done = run_killed(folder, step)
        ends.append(finish(folder))
        shutil.rmtree(folder)
    return step, ends


def kill_again_and_again(folder: Path) -> tuple[int, list[dict[str, object]]]:
    """Kill each restart too, always after the same number of steps, until one gets through."""
    ends, kills = [], 0
    for steps in range(120, 300, 9):
        lay_scene(folder)
        while not run_killed(folder, steps):
            kills += 1
        ends.append(finish(folder))
        shutil.rmtree(folder)
    return kills, ends


if __name__ == "__main__":
    way = {"every": kill_at_every_step, "chains": kill_again_and_again}[sys.argv[2]]
    count, found = way(Path(sys.argv[1]))
    distinct = {json.dumps(end, sort_keys=True) for end in found}
    sys.stdout.write(json.dumps({"kills": count, "ends": [json.loads(end) for end in distinct]}))
