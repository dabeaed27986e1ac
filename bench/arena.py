"""All peers in one contest with nginx and ours: everybody up at once, taking turns."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median

from bench.candidates import Candidate
from bench.cold import Starts, serve
from bench.contest import Turn
from bench.measures import CONNECTIONS, calls_per_cpu_s, over_direct_ms
from bench.peers import Peer, running_peer, with_streams
from bench.processes import Failed, cpu_seconds, rss_bytes
from bench.rig import Figures, Invalid
from bench.rows import middle
from bench.stage import Stage, Start, tell
from bench.streams import BYTES_PER_KB, LADDER, RELAY_LIMIT_MS, SPACING_MS, climb, cpu_per_chunk_us

STREAMS = 50
CHUNK_SPACING_MS = 20
"""2,500 chunks/s, which whoever is compiled carries at part of a core; others get less."""
PILOT_SPACING_MS = 200
UNSATURATED = 0.5
LOW_RUNGS = (2, 3, 4, 6, 8, 11, 15, 21, 28, 38)
"""Below the first of `LADDER`: one of these gateways carries fewer than 50 streams."""
CALM_S = 0.1
CALM_LIMIT_S = 10.0
MEMORY_STREAMS = 500


@dataclass(slots=True)
class Found:
    """What was found of one candidate; a list has a value a round."""

    calls: list[Figures] = field(default_factory=list)
    of_nginx: list[float] = field(default_factory=list)
    of_ours: list[float] = field(default_factory=list)
    """How many times its calls a CPU second ours makes."""
    chunks: list[Figures] = field(default_factory=list)
    chunk_of_nginx: list[float] = field(default_factory=list)
    chunk_rates: list[float] = field(default_factory=list)
    added_ms: list[tuple[float, float]] = field(default_factory=list)
    stream_kb: float = math.nan
    starts: Starts = field(default_factory=Starts)
    remark: str = ""

    @property
    def calls_per_s(self) -> float:
        """Give the calls/s as they came."""
        return middle([one.calls_per_s for one in self.calls])


@dataclass(slots=True)
class Arena:
    """The candidates that run, nginx and ours before the peers."""

    stage: Stage
    candidates: list[Candidate]
    found: dict[str, Found]

    @property
    def streaming(self) -> list[Candidate]:
        """Name those whose streams work."""
        return [one for one in self.candidates if one.streams is not None]

    def rounds(self, turn: Turn, candidates: Sequence[Candidate]) -> list[dict[str, Figures]]:
        """Play rounds in which a peer may fail, but neither nginx nor ours."""
        contest = self.stage.contest

        def one_round(number: int) -> dict[str, Figures] | None:
            start = number % len(candidates)
            whole = {}
            for one in (*candidates[start:], *candidates[:start]):
                figures = contest.take(one, turn)
                if figures is not None:
                    whole[one.name] = figures
                await_calm(one)
            return whole if {one.name for one in contest.both} <= whole.keys() else None

        return contest.rounds(one_round)


@contextmanager
def bring_up(stage: Stage, peers: Sequence[Peer]) -> Iterator[Arena]:
    """Start every peer that starts; one that does not is remarked on."""
    contest = stage.contest
    with ExitStack() as stack:
        arena = Arena(stage, list(contest.both), {one.name: Found() for one in contest.both})
        for peer in peers:
            try:
                running = running_peer(peer, stage.mock, contest.rig.folder / peer.name)
                candidate = stack.enter_context(running)
            except Failed as error:
                stage.remarks.append(f"{peer.name} did not start: {error}")
                continue
            candidate, why = with_streams(candidate, contest.rig)
            arena.candidates.append(candidate)
            arena.found[peer.name] = Found(remark=f"streams fail: {why}" if why else "")
        yield arena


def await_calm(candidate: Candidate) -> None:
    """Wait until a candidate has done what an overload left it: its core is the next one's."""
    until = time.monotonic() + CALM_LIMIT_S
    while time.monotonic() < until:
        try:
            before_s = cpu_seconds(candidate.pids)
            time.sleep(CALM_S)
            if cpu_seconds(candidate.pids) - before_s <= CALM_S / 5:
                return
        except OSError:
            return  # it has ended; its next turn will say so


def measure_calls(arena: Arena) -> None:
    """Measure calls a CPU second, closed loop."""
    contest = arena.stage.contest

    def turn(one: Candidate) -> Figures:
        window = contest.pace.window
        return contest.rig.calls(
            one.calls, one.pids, connections=CONNECTIONS, window=window, warm="500ms"
        )

    nginx, ours = (one.name for one in contest.both)
    for figures in arena.rounds(turn, arena.candidates):
        rates = {name: calls_per_cpu_s(one) for name, one in figures.items()}
        for name, rate in rates.items():
            found = arena.found[name]
            found.calls.append(figures[name])
            if rate:
                found.of_nginx.append(rate / rates[nginx])
                found.of_ours.append(rates[ours] / rate)


def measure_chunks(arena: Arena) -> None:
    """Measure CPU a chunk, below saturation."""
    contest = arena.stage.contest
    spacing_ms = {one.name: _spacing_ms(arena, one) for one in arena.streaming}

    def turn(one: Candidate) -> Figures:
        return _stream(arena, one, spacing_ms[one.name])

    nginx = contest.reference.name
    for figures in arena.rounds(turn, arena.streaming):
        for name, one in figures.items():
            found = arena.found[name]
            found.chunks.append(one)
            found.chunk_of_nginx.append(cpu_per_chunk_us(one) / cpu_per_chunk_us(figures[nginx]))
    for name, spacing in spacing_ms.items():
        if spacing > CHUNK_SPACING_MS:
            rate = STREAMS * 1000 // spacing
            remark = f"CPU per chunk at {rate:,} chunks/s"
            arena.found[name].remark = "; ".join(filter(None, (arena.found[name].remark, remark)))


def _stream(arena: Arena, one: Candidate, spacing_ms: int) -> Figures:
    """Run streams that start over a second, which the slowest here needs for 50."""
    contest = arena.stage.contest
    return contest.rig.streams(
        one.require(one.streams),
        one.pids,
        connections=STREAMS,
        spacing=f"{spacing_ms}ms",
        spread="1s",
        warm="1.3s",
        window=contest.pace.window,
    )


def _spacing_ms(arena: Arena, one: Candidate) -> int:
    """Find the spacing at which a candidate leaves half of its core idle."""
    figures = arena.stage.contest.take(one, lambda each: _stream(arena, each, PILOT_SPACING_MS))
    await_calm(one)
    share = figures.cpu_share if figures is not None else 1.0
    return max(CHUNK_SPACING_MS, math.ceil(PILOT_SPACING_MS * share / UNSATURATED))


def measure_chunk_rates(arena: Arena) -> None:
    """Measure the most chunks a second of which 99 of 100 are in time."""
    ladder = (*LOW_RUNGS, *LADDER)
    steps = {one.name: _first_rung(arena.found[one.name], ladder) for one in arena.streaming}
    for number in range(arena.stage.contest.pace.ceiling_rounds):
        for one in arena.streaming[:: 1 if number % 2 else -1]:
            step, rate = climb(arena.stage.contest, one, steps[one.name], ladder=ladder)
            steps[one.name] = step
            arena.found[one.name].chunk_rates.append(rate)
            await_calm(one)


def _first_rung(found: Found, ladder: Sequence[int]) -> int:
    """Guess where a candidate's limit is from its CPU a chunk, a little below."""
    cost_us = middle([cpu_per_chunk_us(one) for one in found.chunks])
    guess = 1e6 / cost_us / (1000 / SPACING_MS) * 0.7 if cost_us > 0 else LADDER[0]
    return max(0, sum(rung <= guess for rung in ladder) - 1)


def measure_latency(arena: Arena) -> None:
    """Measure latency over direct at half of each candidate's own calls a second."""
    contest = arena.stage.contest

    def one_round(number: int) -> bool:
        start = number % len(arena.candidates)
        for one in (*arena.candidates[start:], *arena.candidates[:start]):
            found = arena.found[one.name]
            if found.calls:
                added = over_direct_ms(contest, one, found.calls_per_s / 2)
                await_calm(one)
                if added is not None and number:
                    found.added_ms.append(added)
        return True

    contest.rounds(one_round)


def measure_fresh(arena: Arena, peers: Sequence[Peer]) -> None:
    """Measure starts, idle memory and memory a stream, in processes that have only just begun."""
    stage = arena.stage
    kinds: dict[str, Start] = {
        stage.contest.reference.name: stage.start_reference,
        stage.contest.ours.name: stage.start_ours,
        **{peer.name: _starter(peer) for peer in peers if peer.name in arena.found},
    }
    for name, start in kinds.items():
        tell(f"{name} afresh")
        try:
            with stage.fresh(start) as candidate:
                _measure_fresh(arena, name, candidate)
        except (Failed, Invalid, OSError) as error:
            stage.remarks.append(f"{name}, afresh: {error}")
    with stage.fresh(serve) as candidate:  # ours is compared with all its processes
        arena.found[stage.contest.ours.name].starts = Starts()
        arena.found[stage.contest.ours.name].starts.note(candidate)


def _starter(peer: Peer) -> Start:
    return lambda mock, folder, name: running_peer(peer, mock, folder / name)


def _measure_fresh(arena: Arena, name: str, candidate: Candidate) -> None:
    rig, found = arena.stage.contest.rig, arena.found[name]
    found.starts.note(candidate)
    if all(one.name != name for one in arena.streaming):
        return
    streams = min(MEMORY_STREAMS, max(20, int(median([found.calls_per_s, MEMORY_STREAMS]))))
    spread_s = max(1.0, streams / (0.3 * max(1.0, found.calls_per_s)))
    rig.calls(candidate.calls, candidate.pids, connections=4, rate=20, window="300ms")
    before = rss_bytes(candidate.pids)
    figures = rig.streams(
        candidate.streams or candidate.calls,
        candidate.pids,
        connections=streams,
        spacing="1s",
        spread=f"{spread_s}s",
        warm=f"{spread_s + 0.5}s",
        window="300ms",
    )
    found.stream_kb = (figures.rss_bytes - before) / streams / BYTES_PER_KB


MEASURES: dict[str, Callable[[Arena], None]] = {
    f"calls per second of a core, {CONNECTIONS} connections": measure_calls,
    "CPU per chunk": measure_chunks,
    f"chunks/s with p99 under {RELAY_LIMIT_MS} ms": measure_chunk_rates,
    "added latency at half load": measure_latency,
}
"""In this order: the later ones start from what the earlier found."""
