"""Where the relay spends its time under load: the functions with the most time of their own."""

import pstats
import sys
from pathlib import Path

from bench.relay import relay
from bench.rig import Rig

TOP = 35


def profile(rig: Rig, *, is_streamed: bool, seconds: float) -> None:
    """Load a relay that runs under cProfile, and print its top functions.

    cProfile charges each Python call about as much as a small function costs, so read the order
    of things from it and never a share.
    """
    found = rig.folder / "relay.prof"
    under = ("-m", "cProfile", "-o", str(found), "-m")
    with rig.mock() as mock, relay(mock, rig.folder, under=under) as candidate:
        window = f"{seconds}s"
        if is_streamed:
            figures = rig.streams(
                candidate.calls, candidate.pids, connections=50, window=window, usage="true"
            )
        else:
            figures = rig.calls(candidate.calls, candidate.pids, connections=32, window=window)
    done = figures.chunks if is_streamed else figures.calls
    print(f"{done} {'chunks' if is_streamed else 'calls'} in {seconds:g} s under the profiler")
    _print(found)


def _print(found: Path) -> None:
    if not found.exists():
        raise SystemExit("bench: the relay left no profile: it did not end by itself")
    pstats.Stats(str(found), stream=sys.stdout).sort_stats("tottime").print_stats(TOP)
