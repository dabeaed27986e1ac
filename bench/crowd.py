"""What is measured of many streams at once: 1,000 that are open and seldom say anything."""

from bench.candidates import Candidate
from bench.rig import Figures
from bench.rows import Row, row
from bench.stage import Stage
from bench.streams import cpu_per_chunk_us

STREAMS = 1000
SPACING_MS = 200
SPREAD_S = 2.0
"""Over which they open: 500 a second, which nobody here finds hard."""


def open_streams(stage: Stage) -> list[Row]:
    """Measure CPU a chunk and the delay of chunks, with 5,000 chunks a second on 1,000 streams."""
    contest = stage.contest

    def turn(candidate: Candidate) -> Figures:
        return contest.rig.streams(
            candidate.require(candidate.streams),
            candidate.pids,
            connections=STREAMS,
            spacing=f"{SPACING_MS}ms",
            spread=f"{SPREAD_S}s",
            warm=f"{SPREAD_S + 0.3}s",
            window=contest.pace.window,
        )

    found = contest.play(turn)
    reference, ours = (found[one.name] for one in contest.both)
    note = f"a chunk every {SPACING_MS} ms on each"
    return [
        row(
            "CPU per chunk, 1,000 open streams",
            ours=[cpu_per_chunk_us(one) for one in ours],
            reference=[cpu_per_chunk_us(one) for one in reference],
            unit="us",
            note=note,
        ),
        *(
            row(
                f"chunk delay one way {quantile}, 1,000 open streams",
                ours=[getattr(one.chunk_us, quantile) / 1000 for one in ours],
                reference=[getattr(one.chunk_us, quantile) / 1000 for one in reference],
                unit="ms",
            )
            for quantile in ("p50", "p99")
        ),
    ]
