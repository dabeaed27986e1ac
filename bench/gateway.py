"""The whole gateway as an operator starts it: supervisor, relays, books that send spans."""

import json
import os
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.candidates import Candidate, await_answers, free_ports
from bench.processes import CANDIDATE_CPU, RIG_CPU, Started, rss_bytes, running
from bench.rig import Door, Mock
from spanmeter_gateway.board import Board, Field

EITHER_CPU = f"{CANDIDATE_CPU},{RIG_CPU}"
PLACES = {"spanmeter_gateway.relay.process": "relay", "spanmeter_gateway.books.main": "books"}
LOOK_S = 0.2
START_LIMIT_S = 30.0
SPOOL_BYTES = 8_000_000_000
"""Nothing may be dropped while a closed loop is ahead of books."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of `/metrics`, and what it took to get it."""

    text: bytes
    seconds: float

    def total(self, name: str) -> float:
        """Add up the samples of this name."""
        starts = (f"{name}{{".encode(), f"{name} ".encode())
        return sum(
            float(line.split(b" # ")[0].split()[-1])
            for line in self.text.splitlines()
            if line.startswith(starts)
        )


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that runs."""

    started: Started
    door: Door
    books_port: int
    data_dir: Path

    def pids(self) -> dict[str, int]:
        """Name the processes."""
        found: dict[str, int] = {}
        for pid in self.started.pids:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
            place = next((name for part, name in PLACES.items() if part in command), "supervisor")
            number = sum(name.startswith(place) for name in found)
            found[f"{place} {number}" if place == "relay" else place] = pid
        return found

    def rss_mb(self) -> dict[str, float]:
        """Tell what each process holds in memory."""
        return {name: rss_bytes([pid]) / 1e6 for name, pid in self.pids().items()}

    def spool_bytes(self) -> int:
        """Tell what waits on disk for books."""
        sizes = 0
        for segment in (self.data_dir / "spool").rglob("*.ndjson"):
            sizes += segment.stat().st_size if segment.exists() else 0
        return sizes

    def connections(self) -> tuple[int, ...]:
        """Count the callers' connections of each relay, as the board tells."""
        board = Board.open(self.data_dir / "board")
        return tuple(board.column(worker).get(Field.CONNECTIONS) for worker in range(board.workers))

    def page(self) -> Page:
        """Read /metrics once."""
        began_s = time.monotonic()
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.books_port}/metrics", timeout=30
        ) as answer:
            text = answer.read()
        return Page(text, time.monotonic() - began_s)

    def await_page(self, limit_s: float = START_LIMIT_S) -> None:
        """Wait until books answer."""
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            try:
                self.page()
            except OSError:
                time.sleep(LOOK_S)
            else:
                return
        raise self.started.complain("books did not start")

    def await_entered(self, calls: int, limit_s: float) -> int:
        """Wait until books have entered so many receipts; returns how many they have."""
        until = time.monotonic() + limit_s
        while (entered := self.entered()) < calls and time.monotonic() < until:
            time.sleep(LOOK_S)
        return entered

    def entered(self) -> int:
        """Count the receipts that books have entered."""
        return int(self.page().total("spanmeter_receipts_entered_total"))


@contextmanager
def gateway(
    mock: Mock, home: Path, *, workers: int = 1, settings: Mapping[str, Any] | None = None
) -> Iterator[Gateway]:
    """Run `spanmeter serve` on either core, its spans going to the mock."""
    home.mkdir()
    port, books_port = free_ports(2)
    file = home / "spanmeter.yaml"
    config = {
        "listen": f"127.0.0.1:{port}",
        "books": {"listen": f"127.0.0.1:{books_port}"},
        "workers": workers,
        "data_dir": str(home / "data"),
        "upstreams": {"openai": {"base_url": f"http://127.0.0.1:{mock.plain_port}"}},
        "spool": {"max_bytes": SPOOL_BYTES},
        **(settings or {}),
    }
    file.write_text(json.dumps(config))  # JSON is YAML
    environ = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{mock.plain_port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    }
    command = [sys.executable, "-m", "spanmeter_gateway.cli", "serve", "--config", str(file)]
    with running(command, cpu=EITHER_CPU, log=home / "log", environ=environ) as started:
        door = Door(port)
        await_answers(Candidate("spanmeter", started, door), started)
        found = Gateway(started, door, books_port, home / "data")
        found.await_page()
        yield found
