"""What is measured of streams: CPU a chunk, delays, the most chunks a second, and memory."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from bench.candidates import Candidate
from bench.contest import Contest
from bench.processes import rss_bytes
from bench.rig import Figures
from bench.rows import Bar, Row, row

STREAMS = 200
SPACING_MS = 10
EVENTS = 100
UNSATURATED = 0.6
"""The share of its core that a candidate may use where CPU per chunk is measured: over it, chunks
pile up and are handled together, which looks cheap."""
PILOT_SPACING_MS = 40
RELAY_LIMIT_MS = 50
"""99 of 100 chunks must pass within it."""
LADDER = tuple(round(50 * 1.12**step) for step in range(28))
"""Numbers of streams that are tried: 50 to about 1,070, so up to 107,000 chunks/s."""
IDLE_STREAMS = 500
IDLE_SPACING_MS = 500
BYTES_PER_KB = 1000

CHUNK_CPU_BAR = Bar(1.6, 1.1, "less")
CHUNK_RATE_BAR = Bar(0.6, 0.95, "more")
MEMORY_BAR = Bar(60, 35, "less")

Start = Callable[[], AbstractContextManager[Candidate]]


def _stream(contest: Contest, candidate: Candidate, **flags: float | str) -> Figures:
    """Run streams; the warm-up is longer than the time over which the load starts them."""
    given = {"window": contest.pace.window, "warm": "400ms", "events": EVENTS, **flags}
    return contest.rig.streams(candidate.require(candidate.streams), candidate.pids, **given)


def chunk_cost(contest: Contest, *, is_usage_asked: bool = True) -> list[Row]:
    """Measure CPU a chunk at one rate for both, below saturation, and the delays of chunks.

    Where the caller does not ask for usage, the gateway asks on its behalf and hides the answer.
    """
    spacing_ms = _unsaturated_spacing_ms(contest)
    usage = str(is_usage_asked).lower()
    found = contest.play(
        lambda one: _stream(
            contest, one, connections=STREAMS, spacing=f"{spacing_ms}ms", usage=usage
        )
    )
    reference, ours = (found[one.name] for one in contest.both)
    suffix = "" if is_usage_asked else ", usage not asked for"
    rows = [
        row(
            f"CPU per chunk{suffix}",
            ours=[cpu_per_chunk_us(one) for one in ours],
            reference=[cpu_per_chunk_us(one) for one in reference],
            unit="us",
            bar=CHUNK_CPU_BAR if is_usage_asked else None,
            note=f"{STREAMS} streams, a chunk every {spacing_ms} ms",
        )
    ]
    return rows + (_delays(reference, ours) if is_usage_asked else [])


def _delays(reference: list[Figures], ours: list[Figures]) -> list[Row]:
    return [
        row(
            "time to first chunk, p50",
            ours=[one.first_us.p50 for one in ours],
            reference=[one.first_us.p50 for one in reference],
            unit="us",
        ),
        row(
            "chunk delay one way, p50",
            ours=[one.chunk_us.p50 for one in ours],
            reference=[one.chunk_us.p50 for one in reference],
            unit="us",
        ),
    ]


def cpu_per_chunk_us(figures: Figures) -> float:
    """Give the candidate's CPU time a chunk, with its share of the call's own."""
    return figures.cpu_s / max(1, figures.chunks) * 1e6


def _unsaturated_spacing_ms(contest: Contest) -> int:
    """Find the spacing at which the dearer of the two leaves part of its core idle."""
    spacings = [SPACING_MS]
    for candidate in contest.both:
        found = contest.take(
            candidate,
            lambda one: _stream(contest, one, connections=STREAMS, spacing=f"{PILOT_SPACING_MS}ms"),
        )
        if found is not None:
            spacings.append(math.ceil(PILOT_SPACING_MS * found.cpu_share / UNSATURATED))
    return max(spacings)


def chunk_rate(contest: Contest) -> list[Row]:
    """Measure the most chunks a second of which 99 of 100 pass in time."""
    steps = {one.name: len(LADDER) // 2 for one in contest.both}
    rates: dict[str, list[float]] = {one.name: [] for one in contest.both}
    for number in range(contest.pace.ceiling_rounds):
        for candidate in contest.both if number % 2 else contest.both[::-1]:
            steps[candidate.name], rate = climb(contest, candidate, steps[candidate.name])
            rates[candidate.name].append(rate)
    reference, ours = (rates[one.name] for one in contest.both)
    top = [name for name, step in steps.items() if step == len(LADDER) - 1]
    return [
        row(
            f"chunks/s with p99 under {RELAY_LIMIT_MS} ms",
            ours=ours,
            reference=reference,
            unit="1/s",
            bar=CHUNK_RATE_BAR,
            note=f"the rig's own limit: {', '.join(top)}" if top else "",
        )
    ]


def climb(
    contest: Contest, candidate: Candidate, step: int, *, ladder: Sequence[int] = LADDER
) -> tuple[int, float]:
    """Walk the ladder from `step`, in strides that shrink: the last rung that holds, its rate."""
    held, rate, stride = -1, 0.0, 4
    broken = len(ladder)
    while held + 1 < broken:
        found = _chunks_in_time(contest, candidate, ladder[step])
        if found is not None:
            held, rate = step, found
        else:
            broken = step
        if broken == len(ladder):
            step = min(held + stride, broken - 1)
        elif held < 0:
            step = max(broken - stride, 0)
        else:
            step = (held + broken) // 2
    return max(held, 0), rate


def _chunks_in_time(contest: Contest, candidate: Candidate, streams: int) -> float | None:
    figures = contest.take(
        candidate,
        lambda one: _stream(
            contest,
            one,
            connections=streams,
            spacing=f"{SPACING_MS}ms",
            window=f"{contest.pace.ceiling_window_s}s",
        ),
    )
    if figures is None or figures.chunk_us.p99 > RELAY_LIMIT_MS * 1000:
        return None
    return figures.chunks_per_s


def memory(contest: Contest, starts: Sequence[Start]) -> list[Row]:
    """Measure memory an open stream, in processes that have only just begun."""
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(contest.pace.memory_rounds):
        for side, start in zip(found, starts, strict=True):
            with start() as candidate:
                side.append(_kb_per_stream(contest, candidate))
    reference, ours = found
    return [
        Row(
            what="memory per open stream",
            unit="KB",
            reference=tuple(reference),
            ours=tuple(ours),
            compared=tuple(ours),
            compared_unit="KB",
            bar=MEMORY_BAR,
            note=f"{IDLE_STREAMS} streams",
        )
    ]


def _kb_per_stream(contest: Contest, candidate: Candidate) -> float:
    """Compare memory after a few calls with memory while the streams are open.

    Few, because streams would live in what many leave free in the heap, and seem to cost nothing.
    """
    contest.rig.calls(candidate.calls, candidate.pids, connections=4, rate=100, window="300ms")
    before = rss_bytes(candidate.pids)
    figures = _stream(
        contest,
        candidate,
        connections=IDLE_STREAMS,
        spacing=f"{IDLE_SPACING_MS}ms",
        warm="900ms",
        window="300ms",
    )
    return (figures.rss_bytes - before) / IDLE_STREAMS / BYTES_PER_KB
