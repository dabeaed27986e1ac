"""`python -m bench` compares the relay with nginx; `python -m bench profile` shows its costs."""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from itertools import count
from pathlib import Path

from rich.console import Console

from bench import measures, profiler, streams
from bench.candidates import Candidate
from bench.contest import QUICK, Contest, Pace
from bench.nginx import nginx
from bench.processes import RIG_CPU, going_ahead
from bench.relay import relay
from bench.report import Report
from bench.rig import CACHE, Door, Mock, Rig, build
from bench.rows import Row, middle

LOG_WIDTH = 170
MEASURES = ("calls", "tls", "latency", "chunk-cpu", "chunk-rate", "memory")
Start = Callable[[Mock, Path, str], AbstractContextManager[Candidate]]
CONTENDERS: dict[str, Start] = {"spanmeter": relay, "nginx": nginx}
"""Who can stand against nginx; nginx against itself shows what is noise."""


def main() -> None:
    """Read the command line and run."""
    arguments = _parse()
    if (os.cpu_count() or 1) <= RIG_CPU:
        raise SystemExit("bench: two CPUs are needed, one for the relay and one for the load")
    os.sched_setaffinity(0, {RIG_CPU})
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
    parser.add_argument("--streams", action="store_true", help="profile streams instead of calls")
    parser.add_argument("--seconds", type=float, default=5.0, help="of profile")
    return parser.parse_args()


def _console() -> Console:
    """Write wide where nobody watches: the table is for a log then."""
    console = Console()
    return console if console.is_terminal else Console(width=LOG_WIDTH)


@contextmanager
def _folder() -> Iterator[Path]:
    """Give a folder on a real disk, where the spool costs what it costs in service."""
    CACHE.mkdir(parents=True, exist_ok=True)
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
        fresh = (partial(_fresh, nginx, rig, mock), partial(_fresh, contender, rig, mock))
        _measure(contest, report, set(arguments.only), fresh=fresh)
        report.remark_on(contest)
    return report


_fresh_number = count(1)


def _fresh(start: Start, rig: Rig, mock: Mock) -> AbstractContextManager[Candidate]:
    return start(mock, rig.folder, f"fresh-{next(_fresh_number)}")


def _measure(
    contest: Contest, report: Report, asked: set[str], *, fresh: tuple[streams.Start, streams.Start]
) -> None:
    def add(rows: list[Row]) -> None:
        report.rows.extend(rows)

    add([measures.ceiling(contest)])
    if asked & {"calls", "latency"}:
        full = measures.closed_loop(contest)
        add(full)
        if "latency" in asked:
            rates = (middle(full[0].reference), middle(full[0].ours))
            by_name = dict(zip((one.name for one in contest.both), rates, strict=True))
            add(measures.added_latency(contest, by_name))
    if "tls" in asked:
        add(measures.closed_loop(contest, is_tls=True))
    if "chunk-cpu" in asked:
        add(streams.chunk_cost(contest))
        if contest.pace is not QUICK:
            add(streams.chunk_cost(contest, is_usage_asked=False))
    if "chunk-rate" in asked:
        add(streams.chunk_rate(contest))
    if "memory" in asked:
        add(streams.memory(contest, fresh))


main()
