"""Where the relay spends its time under load: the functions with the most time of their own.

With py-spy (on the PATH, or in the cache's `tools` environment) the relay is sampled from outside
and runs at its own speed. Without it cProfile runs inside, which charges each Python call about as
much as a small function costs: read the order of things from that and never a share.
"""

import pstats
import re
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
WAITING = "lock_PyThread_acquire_lock"
"""The spool's thread between two flushes: asleep, though a sampler of native frames counts it."""
_LOOP = re.compile(r"\((uvloop|asyncio|threading|<frozen|runpy)|relay/process\.py\)")
_LINE = re.compile(r"(\.\w+):\d+\)$")
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
        sampling = _sample(sampler, candidate, found=found, seconds=seconds) if sampler else None
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
    sampler: str, candidate: Candidate, *, found: Path, seconds: float
) -> subprocess.Popen[bytes]:
    """Sample the relay's threads while they run, native frames included."""
    process = candidate.pids[0]
    command = [sampler, "record", "--pid", str(process), "--duration", str(max(1, int(seconds)))]
    options = ["--rate", str(SAMPLES_PER_S), "--native", "--format", "raw"]
    return subprocess.Popen(
        [*command, *options, "--output", str(found)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _print_samples(found: Path, cost_us: float) -> None:
    """Print where the samples were: as CPU a call, or a chunk."""
    leaves: Counter[str] = Counter()
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for line in found.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        if WAITING in stack:
            continue
        frames = [_LINE.sub(r"\1)", frame) for frame in stack.split(";")]
        ours = [frame for frame in frames if ".py)" in frame and not _LOOP.search(frame)]
        leaves[frames[-1]] += int(count)
        own[ours[-1] if ours else "(the event loop)"] += int(count)
        within.update(dict.fromkeys(ours, int(count)))
    total = leaves.total()
    if not total:
        raise SystemExit("bench: the sampler saw nothing")
    _print_top("own time, with the C code that it calls", own, cost_us / total, limit=TOP)
    _print_top("time with everything that it calls", within, cost_us / total, limit=TOP)
    _print_top("innermost", leaves, cost_us / total, limit=TOP // 3)


def _print_top(title: str, counter: Counter[str], sample_us: float, *, limit: int) -> None:
    print(f"\n{title}:")
    for name, samples in counter.most_common(limit):
        print(f"{samples * sample_us:8.1f} us  {name}")
