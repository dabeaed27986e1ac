"""The rig: builds the mock upstream and the load generator, and runs them on their core."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.processes import CANDIDATE_CPU, RIG_CPU, running

SOURCE = Path(__file__).parent / "load"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "spanmeter" / "bench"
RUN_LIMIT_S = 120.0
TICK_S = 0.02


class Quantiles(msgspec.Struct, frozen=True):
    """Delays of one kind, in microseconds."""

    count: int
    p50: float
    p90: float
    p99: float
    max: float


class Figures(msgspec.Struct, frozen=True):
    """What one run of the load found; `cpu_s` and `rss_bytes` are the candidate's."""

    seconds: float
    calls: int
    chunks: int
    sent: int
    errors: int
    first_error: str
    latency_us: Quantiles
    first_us: Quantiles
    chunk_us: Quantiles
    cpu_s: float
    rig_cpu_s: float
    rss_bytes: int
    busy: dict[str, float]
    stolen: float
    began_ns: int = 0
    """When the run began, on the clock of the wall."""
    ended_by_tick: tuple[int, ...] | None = None
    """Calls that ended in each tick of `TICK_S` since."""

    @property
    def calls_per_s(self) -> float:
        """Give the rate of whole calls."""
        return self.calls / self.seconds

    @property
    def chunks_per_s(self) -> float:
        """Give the rate of streamed events."""
        return self.chunks / self.seconds

    @property
    def cpu_share(self) -> float:
        """Give the share of its core that the candidate used."""
        return self.cpu_s / self.seconds

    @property
    def others_share(self) -> float:
        """Give what neither the candidate nor the rig used, in cores of the two."""
        busy = sum(self.busy.get(str(cpu), 0.0) for cpu in (CANDIDATE_CPU, RIG_CPU))
        return max(0.0, busy - (self.cpu_s + self.rig_cpu_s) / self.seconds)


@dataclass(frozen=True, slots=True)
class Door:
    """Where a candidate takes one kind of call."""

    port: int
    path: str = "/v1/chat/completions"
    is_tls: bool = False
    model: str = "gpt-4o-mini"
    key: str = "sk-bench"
    is_verbatim: bool = True
    """It passes the bytes of an answer on as they are, so their length is checked, not the text."""
    headers: tuple[str, ...] = ()
    """Header lines that it wants besides."""


@dataclass(frozen=True, slots=True)
class Mock:
    """The mock upstream's two ports, and the certificate of the second."""

    plain_port: int
    tls_port: int
    certificate: Path


class Invalid(Exception):
    """A run that measured nothing: calls failed in it. `sent` calls were made all the same."""

    def __init__(self, why: str, sent: int = 0) -> None:
        super().__init__(why)
        self.sent = sent


def build() -> Path:
    """Compile the load generator, unless it is newer than its source."""
    go = shutil.which("go")
    if go is None:
        raise SystemExit("bench: Go is not on the PATH; it builds the load generator")
    binary = CACHE / "load"
    binary.parent.mkdir(parents=True, exist_ok=True)
    environ = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"}
    subprocess.run([go, "build", "-o", str(binary), "."], cwd=SOURCE, env=environ, check=True)
    return binary


@dataclass(slots=True)
class Rig:
    """The built load generator; `folder` holds logs and configurations of this benchmark."""

    binary: Path
    folder: Path
    mock_pid: int = 0

    @contextmanager
    def mock(self) -> Iterator[Mock]:
        """Run the mock upstream."""
        certificate = self.folder / "mock.pem"
        command = [str(self.binary), "mock", "-certificate", str(certificate)]
        log = self.folder / "mock.log"
        with running(command, cpu=RIG_CPU, log=log, stdout=subprocess.PIPE) as started:
            assert started.process.stdout is not None
            line = started.process.stdout.readline()
            if not line:
                raise started.complain("the mock upstream did not start")
            ports = json.loads(line)
            self.mock_pid = started.process.pid
            yield Mock(ports["plain"], ports["tls"], certificate)

    def calls(self, door: Door, pids: Sequence[int], **flags: float | str) -> Figures:
        """Make calls that are not streamed."""
        return self._run("calls", door, pids=pids, flags=flags)

    def streams(self, door: Door, pids: Sequence[int], **flags: float | str) -> Figures:
        """Make streamed calls."""
        return self._run("streams", door, pids=pids, flags=flags)

    def _run(
        self, kind: str, door: Door, *, pids: Sequence[int], flags: dict[str, float | str]
    ) -> Figures:
        given = {
            "port": door.port,
            "path": door.path,
            "tls": str(door.is_tls).lower(),
            "model": door.model,
            "key": door.key,
            "verbatim": str(door.is_verbatim).lower(),
            "headers": "\n".join(door.headers),
            "watch": ",".join(map(str, pids)),
            "mock": str(self.mock_pid),
            **flags,
        }
        command = [str(self.binary), kind, *(f"-{name}={value}" for name, value in given.items())]
        try:
            done = subprocess.run(
                ["taskset", "-c", str(RIG_CPU), *command],
                capture_output=True,
                timeout=RUN_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Invalid(f"the load did not end within {RUN_LIMIT_S:.0f} s") from error
        if done.returncode:
            raise Invalid(done.stderr.decode(errors="replace").strip())
        figures = msgspec.json.decode(done.stdout, type=Figures)
        if figures.errors:
            why = f"{figures.errors} of {figures.sent} failed: {figures.first_error}"
            raise Invalid(why, figures.sent)
        return figures
