"""What is measured of calls that are not streamed."""

from bench.candidates import Candidate
from bench.contest import Contest
from bench.rig import Figures
from bench.rows import Bar, Row, middle, row

CONNECTIONS = 32
OPEN_LOOP_CONNECTIONS = 64
FEWEST_CALLS = 200
LONGEST_WINDOW_S = 5.0
"""So that a slow candidate's quantiles are of a hundred calls at least."""
FULL = 0.90
"""Who uses less of its core than this in a closed loop was held up by the rig or a neighbour."""

CALLS_BAR = Bar(0.25, 0.50, "more")
ADDED_P50_BAR = Bar(0.3, 0.15, "less")
ADDED_P99_BAR = Bar(3.0, 1.0, "less")


def closed_loop(contest: Contest, *, is_tls: bool = False) -> list[Row]:
    """Measure calls a second: of a core's time, which is what is judged, and as they came."""

    def turn(candidate: Candidate) -> Figures:
        door = candidate.require(candidate.secured) if is_tls else candidate.calls
        window = contest.pace.window
        return contest.rig.calls(door, candidate.pids, connections=CONNECTIONS, window=window)

    found = contest.play(turn)
    reference, ours = (found[one.name] for one in contest.both)
    suffix = ", TLS to the upstream" if is_tls else ""
    return [
        row(
            f"calls per second of a core{suffix}",
            ours=[calls_per_cpu_s(one) for one in ours],
            reference=[calls_per_cpu_s(one) for one in reference],
            unit="1/s",
            bar=CALLS_BAR,
        ),
        row(
            f"CPU per call{suffix}",
            ours=[cpu_per_call_us(one) for one in ours],
            reference=[cpu_per_call_us(one) for one in reference],
            unit="us",
        ),
        row(
            f"calls/s as they came{suffix}",
            ours=[one.calls_per_s for one in ours],
            reference=[one.calls_per_s for one in reference],
            unit="1/s",
            note=_limit_note(reference, ours),
        ),
    ]


def calls_per_cpu_s(figures: Figures) -> float:
    """Give the calls of a second in which the candidate has its core to itself.

    Where it fills the core these are the calls a second; where a neighbour took a part of the core,
    or the rig could not fill it, they still are.
    """
    return figures.calls / figures.cpu_s if figures.cpu_s else 0.0


def cpu_per_call_us(figures: Figures) -> float:
    """Give the candidate's CPU time a call."""
    return figures.cpu_s / max(1, figures.calls) * 1e6


def _limit_note(reference: list[Figures], ours: list[Figures]) -> str:
    shares = [middle([figures.cpu_share for figures in side]) for side in (reference, ours)]
    if all(share >= FULL for share in shares):
        return ""
    return "of the core: " + " / ".join(f"{share:.0%}" for share in shares)


def ceiling(contest: Contest) -> list[Row]:
    """Measure the rig itself: the load straight on the mock upstream."""
    window = contest.pace.window
    runs = contest.play(
        lambda one: contest.rig.calls(one.calls, one.pids, connections=CONNECTIONS, window=window),
        [contest.direct],
    )
    rates = [figures.calls_per_s for figures in runs[contest.direct.name]]
    return [row("the rig's own ceiling, calls/s", ours=[], reference=rates, unit="1/s")]


def added_latency(contest: Contest, full_by_name: dict[str, float]) -> list[Row]:
    """Measure latency over direct, open loop, at half of each candidate's own full rate."""

    def one_round(number: int) -> dict[str, tuple[float, float]] | None:
        found = {
            one.name: over_direct_ms(contest, one, full_by_name[one.name] / 2)
            for one in (contest.both if number % 2 else contest.both[::-1])
        }
        whole = {name: added for name, added in found.items() if added is not None}
        return whole if len(whole) == len(found) else None

    rounds = contest.rounds(one_round)
    reference, ours = ([found[one.name] for found in rounds] for one in contest.both)
    return [
        Row(
            what=f"added latency {quantile} at half load",
            unit="ms",
            reference=tuple(one[place] for one in reference),
            ours=tuple(one[place] for one in ours),
            compared=tuple(one[place] for one in ours),
            compared_unit="ms over direct",
            bar=bar,
        )
        for place, (quantile, bar) in enumerate((("p50", ADDED_P50_BAR), ("p99", ADDED_P99_BAR)))
    ]


def over_direct_ms(
    contest: Contest, candidate: Candidate, rate: float
) -> tuple[float, float] | None:
    """Give p50 and p99 over those of the calls without any gateway; `None` when calls failed."""
    window_s = max(contest.pace.window_s, min(LONGEST_WINDOW_S, FEWEST_CALLS / rate))

    def turn(one: Candidate) -> Figures:
        connections, window = OPEN_LOOP_CONNECTIONS, f"{window_s}s"
        return contest.rig.calls(
            one.calls, one.pids, rate=rate, connections=connections, window=window
        )

    direct, through = contest.take(contest.direct, turn), contest.take(candidate, turn)
    if direct is None or through is None:
        return None
    return (
        (through.latency_us.p50 - direct.latency_us.p50) / 1000,
        (through.latency_us.p99 - direct.latency_us.p99) / 1000,
    )
