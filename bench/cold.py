"""What is measured of a start: from the process to the first answer, and memory before any load."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from bench.candidates import Candidate, await_answers, free_ports
from bench.processes import CANDIDATE_CPU, rss_bytes, running
from bench.rig import Door, Mock
from bench.rows import Bar, Row
from bench.stage import Stage, Start

SETTLED_S = 1.0
BYTES_PER_MB = 1_000_000
COLD_START_BAR = Bar(1.0, 0.6, "less")
IDLE_BAR = Bar(70, 50, "less")
"""Both of the relay: the product's answer to a restart, and what each further core costs."""


@contextmanager
def serve(mock: Mock, folder: Path, name: str) -> Iterator[Candidate]:
    """Run all of `spanmeter serve` on the candidate's core: supervisor, one relay, books."""
    home = folder / name
    home.mkdir()
    port, books_port = free_ports(2)
    settings = {
        "listen": f"127.0.0.1:{port}",
        "books": {"listen": f"127.0.0.1:{books_port}"},
        "workers": 1,
        "data_dir": str(home / "data"),
        "upstreams": {"openai": {"base_url": f"http://127.0.0.1:{mock.plain_port}"}},
    }
    file = home / "spanmeter.yaml"  # JSON is YAML too (yaml.org/spec/1.2.2, section 1.3)
    file.write_bytes(msgspec.json.encode(settings))
    command = [str(Path(sys.executable).parent / "spanmeter"), "serve", "--config", str(file)]
    with running(command, cpu=CANDIDATE_CPU, log=home / "log", folder=home) as started:
        candidate = Candidate(name, started, Door(port))
        cold_start_s = await_answers(candidate, started)
        yield replace(candidate, cold_start_s=cold_start_s)


@dataclass(slots=True)
class Starts:
    """What the starts of one candidate gave."""

    cold_start_s: list[float] = field(default_factory=list)
    idle_mb: list[float] = field(default_factory=list)

    def note(self, candidate: Candidate) -> None:
        """Take down a candidate that has only just answered."""
        if candidate.cold_start_s is not None:
            self.cold_start_s.append(candidate.cold_start_s)
        time.sleep(SETTLED_S)
        self.idle_mb.append(rss_bytes(candidate.pids) / BYTES_PER_MB)


def starts(stage: Stage) -> list[Row]:
    """Measure cold start and idle memory: of the relay alone, and of all processes of `serve`."""
    kinds: tuple[Start, ...] = (stage.start_reference, stage.start_ours, serve)
    reference, ours, whole = found = tuple(Starts() for _ in kinds)
    for _ in range(stage.contest.pace.memory_rounds):
        for kind, noted in zip(kinds, found, strict=True):
            with stage.fresh(kind) as candidate:
                noted.note(candidate)
    return [
        *_rows("the relay", ours, reference, bars=(COLD_START_BAR, IDLE_BAR)),
        *_rows("all of serve", whole, reference, bars=(None, None)),
    ]


def _rows(
    what: str, ours: Starts, reference: Starts, *, bars: tuple[Bar | None, Bar | None]
) -> list[Row]:
    sides = (
        ("cold start", "s", ours.cold_start_s, reference.cold_start_s, bars[0]),
        ("idle memory", "MB", ours.idle_mb, reference.idle_mb, bars[1]),
    )
    return [
        Row(
            what=f"{name}, {what}",
            unit=unit,
            reference=tuple(theirs),
            ours=tuple(values),
            compared=tuple(values),
            compared_unit=unit,
            bar=bar,
        )
        for name, unit, values, theirs, bar in sides
    ]
