"""Books: CPU a receipt, with everything on, while they enter a spool that a relay has left."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from bench.candidates import free_ports
from bench.contest import Contest
from bench.processes import CANDIDATE_CPU, Started, cpu_seconds, running
from bench.relay import configuration, relay, tell
from bench.rig import Mock
from bench.rows import Bar, Row
from bench.spool import SpoolFolder
from spanmeter_gateway.config import Config
from spanmeter_gateway.start import Start

MODULE = "spanmeter_gateway.books.main"
BOOKS_BAR = Bar(250, 100, "less")
START_LIMIT_S = 20.0
ENTRY_LIMIT_S = 60.0
SETTLED_S = 1.0
"""After the last segment: what is exported in the background belongs to the receipts too."""
LOOK_S = 0.1
WINDOWS = 3
"""The spool is filled for so many windows of the other measures."""
PORTIONS = 5
"""Are entered one after the other: other work on the machine shows as one portion's cost."""


def receipt_cost(contest: Contest, mock: Mock) -> list[Row]:
    """Measure the CPU time that books spend on a receipt: spans over OTLP, metrics, ledger row."""
    folder = contest.rig.folder / "books"
    folder.mkdir()
    window = f"{contest.pace.window_s * WINDOWS}s"
    with relay(mock, folder, "filled") as candidate:
        contest.rig.calls(candidate.calls, candidate.pids, connections=32, window=window)
    spool = candidate.require_spool()
    portions = [
        _set_aside(spool, folder / f"portion-{number}", number) for number in range(PORTIONS)
    ]
    config = replace(
        configuration(mock, spool.folder.parent, candidate.calls.port),
        books_port=free_ports(1)[0],
    )
    with running_books(config, mock, folder / "books.log") as started:
        costs_us = tuple(_entry_cost(portion, spool, started) for portion in portions)
    receipts = sum(portion.receipts for portion in portions)
    row = Row(
        what="books: CPU per receipt",
        unit="us",
        reference=(),
        ours=costs_us,
        compared=costs_us,
        compared_unit="us",
        bar=BOOKS_BAR,
        note=f"{receipts} receipts in {PORTIONS} portions, spans to a collector that says yes",
    )
    return [row]


class Portion(NamedTuple):
    """Some segments that wait elsewhere, and where each belongs."""

    homes: dict[Path, Path]
    receipts: int


def _set_aside(spool: SpoolFolder, folder: Path, number: int) -> Portion:
    """Move this portion's part of the segments that are left."""
    folder.mkdir()
    segments = spool.segments()
    some = segments[: len(segments) // (PORTIONS - number)]
    for segment in some:
        segment.rename(folder / segment.name)
    return Portion(
        {folder / segment.name: segment for segment in some}, SpoolFolder(folder).count()
    )


def _entry_cost(portion: Portion, spool: SpoolFolder, started: Started) -> float:
    before_s = cpu_seconds(started.pids)
    for waiting, home in portion.homes.items():
        waiting.rename(home)
    _await_entry(spool, started)
    return (cpu_seconds(started.pids) - before_s) / portion.receipts * 1e6


@contextmanager
def running_books(
    config: Config, mock: Mock, log: Path, *, cpu: int | str = CANDIDATE_CPU
) -> Iterator[Started]:
    """Run books that send spans to the mock, which says yes; wait until they are up."""
    environ = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{mock.plain_port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    }
    command = [sys.executable, "-m", MODULE]
    with running(command, cpu=cpu, log=log, environ=environ) as started:
        tell(started, Start(config))
        _await_calm(started)
        yield started


def _await_calm(started: Started) -> None:
    """Wait until books have started: until a second passes in which they do next to nothing."""
    until = time.monotonic() + START_LIMIT_S
    before_s, now_s = -1.0, cpu_seconds(started.pids)
    while now_s - before_s > LOOK_S:
        if time.monotonic() > until or not started.is_alive:
            raise started.complain("books did not start")
        time.sleep(SETTLED_S)
        before_s, now_s = now_s, cpu_seconds(started.pids)


def _await_entry(spool: SpoolFolder, started: Started) -> None:
    until = time.monotonic() + ENTRY_LIMIT_S
    while spool.segments():
        if time.monotonic() > until or not started.is_alive:
            raise started.complain(f"{len(spool.segments())} segments were not entered")
        time.sleep(LOOK_S)
    time.sleep(SETTLED_S)
