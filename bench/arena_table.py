"""The table of all candidates, and how ours is judged against the peers."""

import math
from collections.abc import Sequence

from bench import arena as arena_measures
from bench.arena import Arena, Found
from bench.contest import QUICK, QUICK_TOGETHER, TOGETHER
from bench.measures import calls_per_cpu_s
from bench.peers import ABSENT, LITELLM, Peer
from bench.rows import Bar, Row, Sheet, middle, number
from bench.stage import Stage, tell
from bench.streams import cpu_per_chunk_us

LITELLM_BAR = Bar(100, 200, "more")
COMPILED_BAR = Bar(1, 2, "more")
HEADINGS = (
    "gateway",
    "calls per CPU s",
    "x nginx",
    "ours makes",
    "CPU per chunk",
    "x nginx",
    "chunks/s in time",
    "added p50",
    "added p99",
    "per stream",
    "idle",
    "cold start",
    "remark",
)


def compare(stage: Stage, peers: Sequence[Peer]) -> list[Row]:
    """Measure peers in the same rounds as nginx and ours."""
    pace = QUICK_TOGETHER if stage.contest.pace is QUICK else TOGETHER
    with stage.contest.at(pace), arena_measures.bring_up(stage, peers) as arena:
        for name, measure in arena_measures.MEASURES.items():
            tell(f"all gateways: {name}")
            measure(arena)
    tell("all gateways: starts and memory")
    arena_measures.measure_fresh(arena, peers)
    stage.sheets.append(_sheet(arena, peers))
    return _rows(arena, peers)


def _sheet(arena: Arena, peers: Sequence[Peer]) -> Sheet:
    ours = arena.stage.contest.ours.name
    return Sheet(
        title="All gateways in the same rounds",
        headings=HEADINGS,
        lines=tuple(_line(name, found) for name, found in arena.found.items()),
        notes=(
            "Calls and CPU: of one core, medians of per-round figures and ratios; latency over "
            "direct at half of each one's own calls/s; chunks/s with p99 under 50 ms.",
            f"Idle memory and cold start of {ours}: supervisor, relay and books together.",
            *(f"{peer.name} {peer.package.version}: {peer.caveat}" for peer in peers),
            *(f"Not compared: {name} ({why})." for name, why in ABSENT.items()),
        ),
    )


def _line(name: str, found: Found) -> tuple[str, ...]:
    p50, p99 = (middle([added[place] for added in found.added_ms]) for place in (0, 1))
    cells = (
        (middle([calls_per_cpu_s(one) for one in found.calls]), ""),
        (middle(found.of_nginx), ""),
        (middle(found.of_ours), " x"),
        (middle([cpu_per_chunk_us(one) for one in found.chunks]), " us"),
        (middle(found.chunk_of_nginx), ""),
        (middle(found.chunk_rates) or math.nan, ""),
        (p50, " ms"),
        (p99, " ms"),
        (found.stream_kb, " KB"),
        (middle(found.starts.idle_mb), " MB"),
        (middle(found.starts.cold_start_s), " s"),
    )
    texts = (f"{number(value)}{unit}" if value == value else "-" for value, unit in cells)
    return (name, *texts, found.remark)


def _rows(arena: Arena, peers: Sequence[Peer]) -> list[Row]:
    """Judge the ratio against LiteLLM, and against the fastest that is compiled."""
    rows = []
    if arena.found.get(LITELLM.name, Found()).of_ours:
        rows.append(_row(arena, LITELLM.name, LITELLM_BAR))
    compiled = [one.name for one in peers if one.is_compiled and _has_calls(arena, one)]
    if compiled:
        fastest = max(compiled, key=lambda name: middle(arena.found[name].of_nginx))
        rows.append(_row(arena, fastest, COMPILED_BAR, note=", the fastest compiled one"))
    return rows


def _has_calls(arena: Arena, peer: Peer) -> bool:
    return bool(arena.found.get(peer.name, Found()).of_nginx)


def _row(arena: Arena, name: str, bar: Bar, *, note: str = "") -> Row:
    theirs, ours = arena.found[name], arena.found[arena.stage.contest.ours.name]
    return Row(
        what=f"calls per second of a core against {name}",
        unit="1/s",
        reference=tuple(calls_per_cpu_s(one) for one in theirs.calls),
        ours=tuple(calls_per_cpu_s(one) for one in ours.calls),
        compared=tuple(theirs.of_ours),
        bar=bar,
        note=f"the left figure is {name}'s{note}",
    )
