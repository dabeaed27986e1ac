"""What is measured of large bodies: a long prompt on its way in, an answer of vectors out."""

from dataclasses import replace

from bench.candidates import Candidate
from bench.measures import CONNECTIONS, calls_per_cpu_s, cpu_per_call_us
from bench.rig import Door, Figures
from bench.rows import Row, middle, row
from bench.stage import Stage

PROMPT_BYTES = 200_000
VECTOR_CONNECTIONS = 8
VECTOR_PATH = "/v1/embeddings"
VECTOR_MODEL = "text-embedding-3-small"
USAGE = b'"usage":{"input_tokens":2100'
"""What a receipt holds when the usage behind a megabyte of vectors was found."""


def large_prompts(stage: Stage) -> list[Row]:
    """Measure calls whose prompt has 200 KB, the ceiling of the rig beside them."""
    return _closed_loop(stage, "200 KB prompt", connections=CONNECTIONS, prompt=PROMPT_BYTES)


def embeddings(stage: Stage) -> list[Row]:
    """Measure batches of 100 embeddings, of which about 1 MB comes back, and find the usage."""
    rows = _closed_loop(stage, "100 embeddings", connections=VECTOR_CONNECTIONS)
    ours = stage.contest.ours
    if ours.spool is None:
        return rows
    sent = stage.contest.rig.calls(
        vectors(ours.calls), ours.pids, connections=VECTOR_CONNECTIONS, window="200ms", warm="0s"
    ).sent
    metered = ours.spool.settle(sent, USAGE)
    stage.remarks.append(f"embeddings: usage was read in {metered} of {sent} answers of 1 MB")
    return rows


def vectors(door: Door) -> Door:
    """Give the door for embeddings beside a door for chats."""
    return replace(door, path=VECTOR_PATH, model=VECTOR_MODEL)


def _closed_loop(stage: Stage, what: str, **flags: float | str) -> list[Row]:
    contest = stage.contest

    def turn(candidate: Candidate) -> Figures:
        door = candidate.calls if "prompt" in flags else vectors(candidate.calls)
        return contest.rig.calls(door, candidate.pids, window=contest.pace.window, **flags)

    found = contest.play(turn, (contest.direct, *contest.both))
    direct, reference, ours = (found[one.name] for one in (contest.direct, *contest.both))
    ceiling = middle([figures.calls_per_s for figures in direct])
    return [
        row(
            f"calls per second of a core, {what}",
            ours=[calls_per_cpu_s(one) for one in ours],
            reference=[calls_per_cpu_s(one) for one in reference],
            unit="1/s",
            note=f"{flags['connections']} connections; the rig's own ceiling: {ceiling:,.0f}/s",
        ),
        row(
            f"CPU per call, {what}",
            ours=[cpu_per_call_us(one) for one in ours],
            reference=[cpu_per_call_us(one) for one in reference],
            unit="us",
        ),
    ]
