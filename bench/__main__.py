"""`python -m bench` compares the relay with nginx; `python -m bench profile` shows its costs."""

import argparse
import fcntl
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path

from rich.console import Console

from bench import (
    arena_table,
    bodies,
    books,
    cardinality,
    cold,
    crowd,
    dashboards,
    environment,
    in_app,
    measures,
    profiler,
    results,
    streams,
    sustained,
    together,
)
from bench.candidates import Candidate
from bench.contest import QUICK, Contest, Pace
from bench.nginx import nginx
from bench.peers import PEERS, Peer
from bench.processes import RIG_CPU, Failed, going_ahead
from bench.relay import relay
from bench.report import Report
from bench.rig import CACHE, Door, Invalid, Rig, build
from bench.rows import Row, middle
from bench.stage import Measure, Progress, Stage, Start, tell

LOG_WIDTH = 200
CONTENDERS: dict[str, Start] = {"spanmeter": relay, "nginx": nginx}
"""Who can stand against nginx; nginx against itself shows what is noise."""


def _calls(stage: Stage) -> list[Row]:
    rows = measures.closed_loop(stage.contest)
    as_they_came = rows[-1]
    sides = (middle(as_they_came.reference), middle(as_they_came.ours))
    for one, rate in zip(stage.contest.both, sides, strict=True):
        stage.full_rate_by_name[one.name] = rate
    return rows


def _latency(stage: Stage) -> list[Row]:
    if not stage.full_rate_by_name:
        _calls(stage)
    rates = {one.name: stage.full_rate(one) for one in stage.contest.both}
    return measures.added_latency(stage.contest, rates)


def _chunk_cost(stage: Stage) -> list[Row]:
    rows = streams.chunk_cost(stage.contest)
    if stage.contest.pace is QUICK:
        return rows
    return rows + streams.chunk_cost(stage.contest, is_usage_asked=False)


def _memory(stage: Stage) -> list[Row]:
    sides = (stage.start_reference, stage.start_ours)
    return streams.memory(stage.contest, tuple(partial(stage.fresh, side) for side in sides))


def _together(stage: Stage) -> list[Row]:
    if not stage.full_rate_by_name:
        _calls(stage)
    return together.together(stage)


MEASURES: dict[str, Measure] = {
    "ceiling": Measure(15, lambda stage: measures.ceiling(stage.contest)),
    "calls": Measure(35, _calls),
    "tls": Measure(35, lambda stage: measures.closed_loop(stage.contest, is_tls=True)),
    "latency": Measure(65, _latency),
    "large": Measure(45, bodies.large_prompts),
    "embeddings": Measure(45, bodies.embeddings),
    "chunk-cpu": Measure(80, _chunk_cost),
    "chunk-rate": Measure(110, lambda stage: streams.chunk_rate(stage.contest)),
    "open-streams": Measure(60, crowd.open_streams),
    "memory": Measure(25, _memory),
    "cold-start": Measure(25, cold.starts),
    "books": Measure(30, lambda stage: books.receipt_cost(stage.contest, stage.mock)),
    "together": Measure(110, _together),
    "in-app": Measure(20, lambda stage: in_app.costs(stage.contest.pace.rounds)),
}
"""In this order; the numbers are the seconds that each takes at full pace, for who waits."""
INSTALL = "install"
ALWAYS = "ceiling"
PEERS_STEP = "peers"
ALL_PEERS = "all"
QUICK_SHARE = 0.4
PEER_SECONDS = 75.0
"""For each peer, and for nginx and ours among them."""


def main() -> None:
    """Read the command line and run."""
    arguments = _parse()
    if (os.cpu_count() or 1) <= RIG_CPU:
        raise SystemExit("bench: two CPUs are needed, one for the relay and one for the load")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    if arguments.command == INSTALL:
        _installed([ALL_PEERS])
        return
    arguments.compared = _installed(arguments.peers)
    os.sched_setaffinity(0, {RIG_CPU})
    with going_ahead() if arguments.ahead else nullcontext(), _folder() as folder:
        COMMANDS[arguments.command](Rig(build(), folder), arguments)


def _run(rig: Rig, arguments: argparse.Namespace) -> None:
    try:
        report = run(rig, arguments)
    except Failed as error:
        sys.exit(f"bench: {error}")
    report.show(_console())
    if arguments.json is not None:
        arguments.json.write_bytes(report.to_json())
    if arguments.write:
        tell(f"wrote {results.write(report, environment.describe(arguments.compared))}")
    if any(row.verdict == "MISSED" for row in report.rows):
        tell("a bar was missed")


def _profile(rig: Rig, arguments: argparse.Namespace) -> None:
    profiler.profile(rig, is_streamed=arguments.streams, seconds=arguments.seconds)


def _cardinality(rig: Rig, arguments: argparse.Namespace) -> None:
    cardinality.run(rig, json=arguments.json, is_quick=arguments.quick)


def _sustained(rig: Rig, arguments: argparse.Namespace) -> None:
    is_kept = sustained.run(rig, arguments)
    sys.exit(None if is_kept else "bench: a promise was broken")


def _dashboards(rig: Rig, arguments: argparse.Namespace) -> None:
    try:
        dashboards.run(
            scrape_s=arguments.scrape_seconds,
            is_quick=arguments.quick,
            matching=arguments.matching,
        )
    except Failed as error:
        sys.exit(f"bench: {error}")


COMMANDS: dict[str, Callable[[Rig, argparse.Namespace], None]] = {
    "run": _run,
    "profile": _profile,
    "cardinality": _cardinality,
    "sustained": _sustained,
    "dashboards": _dashboards,
}


def _stop(*_: object) -> None:
    """Leave through every block that ends processes; a second signal does not hurry it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sys.exit("bench: told to stop")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = (*COMMANDS, INSTALL)
    parser.add_argument("command", nargs="?", choices=commands, default="run")
    parser.add_argument("--quick", action="store_true", help="a few minutes, and rougher")
    parser.add_argument("--json", type=Path, help="write every round's figures there")
    parser.add_argument("--write", action="store_true", help="write bench/RESULTS.md")
    parser.add_argument("--contender", choices=sorted(CONTENDERS), default="spanmeter")
    parser.add_argument("--ahead", action="store_true", help="go before the machine's other work")
    names = [*MEASURES, PEERS_STEP]
    parser.add_argument("--only", nargs="+", choices=names, default=list(MEASURES))
    parser.add_argument("--peers", nargs="+", choices=[ALL_PEERS, *PEERS], default=[])
    parser.add_argument("--streams", action="store_true", help="profile streams instead of calls")
    parser.add_argument("--seconds", type=float, default=5.0, help="of profile")
    parser.add_argument("--minutes", type=float, default=30.0, help="of sustained")
    parser.add_argument(
        "--load", type=float, default=0.7, help="of sustained: share of its maximum"
    )
    parser.add_argument("--workers", type=int, default=1, help="of sustained: relays")
    parser.add_argument("--scrape-seconds", type=int, default=60, help="of dashboards")
    parser.add_argument(
        "--matching", default="", help="of dashboards: only queries with this in their place"
    )
    return parser.parse_args()


def _console() -> Console:
    """Write wide where nobody watches: the table is for a log then."""
    console = Console()
    return console if console.is_terminal else Console(width=LOG_WIDTH)


@contextmanager
def _folder() -> Iterator[Path]:
    """Give a folder on a real disk, where the spool costs what it costs in service.

    One benchmark at a time has it; what a killed one left behind is removed.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("bench: another benchmark runs, and two would measure each other")
        for left in CACHE.glob("run-*"):
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(prefix="run-", dir=CACHE) as name:
            yield Path(name)


def run(rig: Rig, arguments: argparse.Namespace) -> Report:
    """Bring both sides up and measure what was asked for; a measure that fails is remarked on."""
    contender = CONTENDERS[arguments.contender]
    with ExitStack() as stack:
        mock = stack.enter_context(rig.mock())
        reference = stack.enter_context(nginx(mock, rig.folder, "nginx"))
        name = "spanmeter" if contender is relay else "nginx-2"
        ours = stack.enter_context(contender(mock, rig.folder, name))
        direct = Candidate("direct", None, Door(mock.plain_port), Door(mock.plain_port))
        pace = QUICK if arguments.quick else Pace()
        stage = Stage(Contest(rig, pace, direct, reference, ours), mock, nginx, contender)
        report = Report((reference.name, ours.name), sheets=stage.sheets)
        steps = _steps(arguments)
        share = QUICK_SHARE if arguments.quick else 1.0
        progress = Progress({name: step.seconds * share for name, step in steps.items()})
        for name, step in steps.items():
            progress.begin(name)
            try:
                rows = step.run(stage)
            except (Failed, Invalid, OSError) as error:
                rows = []
                stage.remarks.append(f"{name} was not measured: {error}")
            report.rows.extend(rows)
            progress.end(name, rows)
        report.remarks.extend(stage.remarks)
        report.remark_on(stage.contest)
    return report


def _steps(arguments: argparse.Namespace) -> dict[str, Measure]:
    """Name what was asked for, in an order in which little has to be started twice."""
    steps = {name: step for name, step in MEASURES.items() if name in {ALWAYS, *arguments.only}}
    compared: list[Peer] = arguments.compared
    if compared:
        seconds = PEER_SECONDS * (2 + len(compared))
        steps[PEERS_STEP] = Measure(seconds, lambda stage: arena_table.compare(stage, compared))
    return steps


def _installed(names: Sequence[str]) -> list[Peer]:
    """Install the peers that were asked for; one that cannot be had is said, and left out."""
    here = []
    for name in PEERS if ALL_PEERS in names else dict.fromkeys(names):
        try:
            PEERS[name].package.install()
            here.append(PEERS[name])
        except (Failed, OSError) as error:
            tell(str(error))
    return here


main()
