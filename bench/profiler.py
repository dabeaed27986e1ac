"""Where the relay spends its time under load: the functions with the most time of their own.

With py-spy (on the PATH, or in the cache's `tools` environment) the relay is sampled from outside
and runs at its own speed. Without it cProfile runs inside, which charges each Python call about as
much as a small function costs: read the order of things from that and never a share.
"""

import pstats
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from bench.candidates import Candidate
from bench.measures import cpu_per_call_us
from bench.relay import relay
from bench.rig import CACHE, Figures, Rig
from bench.streams import cpu_per_chunk_us

TOP = 40
SAMPLES_PER_S = 400
STREAMS = 50
CONNECTIONS = 32


def profile(rig: Rig, *, is_streamed: bool, seconds: float) -> None:
    """Load a relay under a profiler, and print its top functions."""
    found = rig.folder / "relay.prof"
    sampler = shutil.which("py-spy") or shutil.which("py-spy", path=str(CACHE / "tools" / "bin"))
    under = ("-m",) if sampler else ("-m", "cProfile", "-o", str(found), "-m")
    with rig.mock() as mock, relay(mock, rig.folder, under=under) as candidate:
        _load(rig, candidate, is_streamed=is_streamed, seconds=0.5)
        sampling = _sample(sampler, candidate, found, seconds) if sampler else None
        figures = _load(rig, candidate, is_streamed=is_streamed, seconds=seconds)
        if sampling is not None:
            sampling.wait()
    done, cost_us = figures.calls, cpu_per_call_us(figures)
    if is_streamed:
        done, cost_us = figures.chunks, cpu_per_chunk_us(figures)
    print(f"{done} in {seconds:g} s, {cost_us:.0f} us of CPU each while profiled")
    if sampling is not None:
        _print_samples(found, cost_us)
    else:
        pstats.Stats(str(found), stream=sys.stdout).sort_stats("tottime").print_stats(TOP)


def _load(rig: Rig, candidate: Candidate, *, is_streamed: bool, seconds: float) -> Figures:
    window = f"{seconds}s"
    if is_streamed:
        return rig.streams(
            candidate.calls, candidate.pids, connections=STREAMS, window=window, usage="true"
        )
    return rig.calls(candidate.calls, candidate.pids, connections=CONNECTIONS, window=window)


def _sample(
    sampler: str, candidate: Candidate, found: Path, seconds: float
) -> subprocess.Popen[bytes]:
    """Sample the relay's threads while they run, native frames included."""
    process = candidate.pids[0]
    command = [sampler, "record", "--pid", str(process), "--duration", str(max(1, int(seconds)))]
    options = ["--rate", str(SAMPLES_PER_S), "--native", "--nonblocking", "--format", "raw"]
    return subprocess.Popen(
        [*command, *options, "--output", str(found)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _print_samples(found: Path, cost_us: float) -> None:
    """Print each function's own time and its time with all that it calls, as CPU a call."""
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    total = 0
    for line in found.read_text().splitlines():
        stack, _, times = line.rpartition(" ")
        frames = stack.split(";")
        total += int(times)
        own[frames[-1]] += int(times)
        within.update(dict.fromkeys(frames, int(times)))
    if not total:
        raise SystemExit("bench: the sampler saw nothing")
    for title, counter in (("own time", own), ("with what it calls", within)):
        print(f"\n{title:>22}  function ({total} samples)")
        for name, times in counter.most_common(TOP):
            print(f"{times / total:12.1%} {times / total * cost_us:6.1f} us  {name}")
