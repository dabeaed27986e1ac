"""`python -m bench` compares the relay with nginx; `python -m bench profile` shows its costs."""

import argparse
import fcntl
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from itertools import count
from pathlib import Path

from rich.console import Console

from bench import books, measures, peers, profiler, streams
from bench.candidates import Candidate
from bench.contest import QUICK, Contest, Pace
from bench.nginx import nginx
from bench.processes import RIG_CPU, Failed, going_ahead
from bench.relay import relay
from bench.report import Report
from bench.rig import CACHE, Door, Mock, Rig, build
from bench.rows import Row, middle

LOG_WIDTH = 170
MEASURES = ("calls", "tls", "latency", "chunk-cpu", "chunk-rate", "memory", "books")
Start = Callable[[Mock, Path, str], AbstractContextManager[Candidate]]
CONTENDERS: dict[str, Start] = {"spanmeter": relay, "nginx": nginx}
"""Who can stand against nginx; nginx against itself shows what is noise."""


def main() -> None:
    """Read the command line and run."""
    arguments = _parse()
    if (os.cpu_count() or 1) <= RIG_CPU:
        raise SystemExit("bench: two CPUs are needed, one for the relay and one for the load")
    os.sched_setaffinity(0, {RIG_CPU})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: told to stop"))
    with going_ahead() if arguments.ahead else nullcontext(), _folder() as folder:
        rig = Rig(build(), folder)
        if arguments.command == "profile":
            profiler.profile(rig, is_streamed=arguments.streams, seconds=arguments.seconds)
            return
        report = run(rig, arguments)
    report.show(_console())
    if arguments.json is not None:
        arguments.json.write_bytes(report.to_json())
    if any(row.verdict == "MISSED" for row in report.rows):
        print("bench: a bar was missed", file=sys.stderr)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("command", nargs="?", choices=("run", "profile"), default="run")
    parser.add_argument("--quick", action="store_true", help="about a minute, and rougher")
    parser.add_argument("--json", type=Path, help="write every round's figures there")
    parser.add_argument("--contender", choices=sorted(CONTENDERS), default="spanmeter")
    parser.add_argument("--ahead", action="store_true", help="go before the machine's other work")
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=MEASURES)
    parser.add_argument("--peers", nargs="+", choices=sorted(peers.PEERS), default=[])
    parser.add_argument("--streams", action="store_true", help="profile streams instead of calls")
    parser.add_argument("--seconds", type=float, default=5.0, help="of profile")
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
    """Bring everybody up and measure what was asked for."""
    contender = CONTENDERS[arguments.contender]
    with ExitStack() as stack:
        mock = stack.enter_context(rig.mock())
        reference = stack.enter_context(nginx(mock, rig.folder, "nginx"))
        name = "spanmeter" if contender is relay else "nginx-2"
        ours = stack.enter_context(contender(mock, rig.folder, name))
        direct = Candidate("direct", None, Door(mock.plain_port), Door(mock.plain_port))
        pace = QUICK if arguments.quick else Pace()
        contest = Contest(rig, pace, direct, reference, ours)
        report = Report((reference.name, ours.name))
        for step in _steps(contest, mock, arguments):
            try:
                rows = step()
                report.rows.extend(rows)
                _tell(rows)
            except Failed as error:
                report.remarks.append(str(error))
        report.remark_on(contest)
    return report


def _tell(rows: list[Row]) -> None:
    """Say on the way what was found, for who stops it early."""
    for row in rows:
        print(f"bench: {row.what}: {row.value:.3g} {row.compared_unit}", file=sys.stderr)


_fresh_number = count(1)


def _fresh(start: Start, rig: Rig, mock: Mock) -> AbstractContextManager[Candidate]:
    return start(mock, rig.folder, f"fresh-{next(_fresh_number)}")


def _steps(
    contest: Contest, mock: Mock, arguments: argparse.Namespace
) -> Iterator[Callable[[], list[Row]]]:
    """Yield what was asked for, in an order in which nothing has to be started twice."""
    asked, contender = set(arguments.only), CONTENDERS[arguments.contender]
    yield partial(measures.ceiling, contest)
    if asked & {"calls", "latency"}:
        yield partial(_calls_and_latency, contest, has_latency="latency" in asked)
    if "tls" in asked:
        yield partial(measures.closed_loop, contest, is_tls=True)
    if "chunk-cpu" in asked:
        yield partial(streams.chunk_cost, contest)
        if contest.pace is not QUICK:
            yield partial(streams.chunk_cost, contest, is_usage_asked=False)
    if "chunk-rate" in asked:
        yield partial(streams.chunk_rate, contest)
    if "memory" in asked:
        starts = tuple(partial(_fresh, start, contest.rig, mock) for start in (nginx, contender))
        yield partial(streams.memory, contest, starts)
    if "books" in asked:
        yield partial(books.receipt_cost, contest, mock)
    for name in arguments.peers:
        yield partial(peers.against, contest, mock, name)


def _calls_and_latency(contest: Contest, *, has_latency: bool) -> list[Row]:
    """Measure the closed loop, and latency at half of what it found."""
    rows = measures.closed_loop(contest)
    if not has_latency:
        return rows
    as_they_came = rows[-1]
    sides = (middle(as_they_came.reference), middle(as_they_came.ours))
    full_by_name = dict(zip((one.name for one in contest.both), sides, strict=True))
    return rows + measures.added_latency(contest, full_by_name)


main()
