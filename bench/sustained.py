"""The whole gateway under a steady load for a long time: what grows, what lags, what is lost."""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

import msgspec
from rich.console import Console
from rich.table import Table

from bench.gateway import Gateway, gateway
from bench.looking import looking
from bench.rig import Door, Figures, Invalid, Mock, Rig
from bench.stage import tell

LOG_WIDTH = 120
SCRAPE_S = 5.0
PROGRESS_S = 30.0
CONNECTIONS = 64
FULL_S = 5.0
"""A closed loop of so long, and the time that books need for it, give the gateway's maximum."""
ENTRY_LIMIT_S = 120.0
MEMORY_SHARE, MEMORY_MB = 0.05, 4.0
"""What a process may have more in the last quarter than in the second, and the pages that its
allocator keeps besides. What is allocated once is there by the end of the first quarter."""
SHARE = 1.2
"""Of the connections, for one relay: so many times its even part."""
LAG_S = 1.0
"""What the lag in the last quarter may be above that in the second: two flushes, two scrapes."""


class Sample(msgspec.Struct, frozen=True):
    """What one look showed."""

    at_s: float
    lag_s: float
    spool_bytes: int
    entered: int
    rss_mb: dict[str, float]
    connections: tuple[int, ...]
    """Of each relay."""


class Verdict(msgspec.Struct, frozen=True):
    """One promise, and whether it was kept."""

    what: str
    found: str
    promise: str
    is_kept: bool


class Result(msgspec.Struct, frozen=True):
    """The whole run."""

    rate: float
    seconds: float
    verdicts: tuple[Verdict, ...]
    samples: tuple[Sample, ...]

    @property
    def is_kept(self) -> bool:
        """Tell whether every promise was."""
        return all(verdict.is_kept for verdict in self.verdicts)


@dataclass(slots=True)
class Load:
    """The calls that were made, in pieces of some seconds: each ends in a line of progress."""

    rig: Rig
    running: Gateway
    direct: Figures
    rate: float
    sent: int = 0
    lost: int = 0
    kept: list[float] = field(default_factory=list)
    """Of each piece: the share of the calls asked for that were made in time."""

    def make(self, seconds: float) -> str:
        """Make calls for so long; says how it went."""
        try:
            figures = self.rig.calls(
                self.running.door, (), rate=self.rate, connections=CONNECTIONS, window=f"{seconds}s"
            )
        except Invalid as error:
            self.sent += error.sent
            self.lost += 1
            return str(error)
        self.sent += figures.sent
        self.kept.append(figures.calls_per_s / self.rate)
        p50, p99 = (
            (getattr(figures.latency_us, name) - getattr(self.direct.latency_us, name)) / 1000
            for name in ("p50", "p99")
        )
        return f"{figures.calls_per_s:,.0f} calls/s, added p50 {p50:.2f} ms, p99 {p99:.2f} ms"


@dataclass(slots=True)
class Watch:
    """A scraper, as Prometheus would be, that also looks at memory and spool."""

    running: Gateway
    samples: list[Sample] = field(default_factory=list)

    def look(self) -> Sample:
        """Take down what is shown now."""
        page = self.running.page()
        sample = Sample(
            at_s=time.monotonic(),
            lag_s=page.total("spanmeter_books_lag_seconds"),
            spool_bytes=self.running.spool_bytes(),
            entered=int(page.total("spanmeter_receipts_entered_total")),
            rss_mb=self.running.rss_mb(),
            connections=self.running.connections(),
        )
        self.samples.append(sample)
        return sample


def sustained(rig: Rig, *, minutes: float, load: float, workers: int) -> Result:
    """Load the gateway at a share of its own maximum for so many minutes."""
    with rig.mock() as mock, gateway(mock, rig.folder / "whole", workers=workers) as running:
        full_rate, made = _full_rate(rig, running)
        rate = full_rate * load
        tell(f"the maximum is {full_rate:,.0f} calls/s with books; the load {rate:,.0f}")
        direct = rig.calls(_direct(mock), (), rate=rate, connections=CONNECTIONS, window="3s")
        making = Load(rig, running, direct, rate, sent=made)
        watch = Watch(running)
        began_s, seconds = time.monotonic(), minutes * 60
        with looking(watch.look, every_s=SCRAPE_S):
            while (left_s := began_s + seconds - time.monotonic()) > 1:
                piece_s = PROGRESS_S if left_s > 1.5 * PROGRESS_S else left_s
                tell(_progress(making.make(piece_s), watch.look(), making))
        entered = running.await_entered(making.sent, ENTRY_LIMIT_S)
        page = running.page()
        counted = int(page.total("spanmeter_calls_total"))
        dropped = int(page.total("spanmeter_receipts_dropped_total"))
    verdicts = (
        *_lost(making, entered=entered, counted=counted, dropped=dropped),
        *_memory(watch.samples),
        _lag(watch.samples),
        *_shares(watch.samples, workers),
    )
    return Result(rate, seconds, verdicts, tuple(watch.samples))


def _direct(mock: Mock) -> Door:
    return Door(mock.plain_port)


def _full_rate(rig: Rig, running: Gateway) -> tuple[float, int]:
    """Measure how many calls a second relays and books get through; and how many were made."""
    before = running.entered()
    began_s = time.monotonic()
    figures = rig.calls(running.door, (), connections=CONNECTIONS, window=f"{FULL_S}s")
    entered = running.await_entered(before + figures.sent, ENTRY_LIMIT_S)
    seconds = time.monotonic() - began_s
    return (entered - before) / seconds, entered


def _progress(said: str, sample: Sample, making: Load) -> str:
    memory = ", ".join(f"{name} {mb:.0f}" for name, mb in sample.rss_mb.items())
    return (
        f"{said}; MB: {memory}; lag {sample.lag_s:.1f} s, spool {sample.spool_bytes / 1e6:.1f} MB; "
        f"receipts {sample.entered:,} of {making.sent:,} calls"
    )


def _lost(making: Load, *, entered: int, counted: int, dropped: int) -> Iterator[Verdict]:
    calls = making.sent
    yield Verdict("runs of calls that failed", str(making.lost), "0", making.lost == 0)
    kept = min(making.kept, default=0.0)
    yield Verdict("calls made in time, least", f"{kept:.1%}", "98%", kept >= 0.98)
    yield Verdict("receipts entered", f"{entered:,} of {calls:,}", "equal", entered == calls)
    yield Verdict("calls counted", f"{counted:,} of {calls:,}", "equal", counted == calls)
    yield Verdict("receipts dropped", str(dropped), "0", dropped == 0)


def _memory(samples: Sequence[Sample]) -> Iterator[Verdict]:
    names = samples[-1].rss_mb if samples else ()
    for name in names:
        grown = _grown(samples, lambda sample, name=name: sample.rss_mb.get(name, 0.0))
        may = grown.early * MEMORY_SHARE + MEMORY_MB
        yield Verdict(
            f"memory of {name}",
            f"{grown.early:.1f} to {grown.late:.1f} MB, {grown.slope_per_h:+.1f} MB/h",
            f"at most {may:+.1f} MB",
            grown.late - grown.early <= may,
        )


def _lag(samples: Sequence[Sample]) -> Verdict:
    grown = _grown(samples, lambda sample: sample.lag_s)
    found = f"{grown.early:.2f} to {grown.late:.2f} s, {grown.slope_per_h:+.2f} s/h"
    return Verdict(
        "lag of books", found, f"at most {LAG_S:+g} s", grown.late - grown.early <= LAG_S
    )


def _shares(samples: Sequence[Sample], workers: int) -> Iterator[Verdict]:
    """Judge how evenly relays share the connections; each of them makes as many calls."""
    if workers == 1:
        return
    fullest = [
        max(sample.connections) / sum(sample.connections)
        for sample in samples
        if sum(sample.connections) == CONNECTIONS
    ]
    share, may = median(fullest) if fullest else 1.0, SHARE / workers
    yield Verdict("connections of the fullest relay", f"{share:.0%}", f"{may:.0%}", share <= may)


@dataclass(frozen=True, slots=True)
class Grown:
    """How a figure went: medians of the second and the last quarter, and the slope between."""

    early: float
    late: float
    slope_per_h: float


def _grown(samples: Sequence[Sample], figure: Callable[[Sample], float]) -> Grown:
    quarter = max(1, len(samples) // 4)
    settled = samples[quarter:] or samples
    values = [figure(sample) for sample in settled]
    times = [sample.at_s / 3600 for sample in settled]
    return Grown(
        early=median(values[:quarter]),
        late=median(values[-quarter:]),
        slope_per_h=_slope(times, values),
    )


def _slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Fit a line by least squares."""
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - x_mean) ** 2 for x in xs)
    if not spread:
        return 0.0
    return sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / spread


def show(result: Result, console: Console) -> None:
    """Print the promises and what was found."""
    minutes = result.seconds / 60
    table = Table(title=f"{minutes:g} minutes at {result.rate:,.0f} calls/s, whole gateway")
    for heading in ("what", "found", "promise", "kept"):
        table.add_column(heading)
    for verdict in result.verdicts:
        style = "" if verdict.is_kept else "bold red"
        kept = "yes" if verdict.is_kept else "BROKEN"
        table.add_row(verdict.what, verdict.found, verdict.promise, kept, style=style)
    console.print(table)


def run(rig: Rig, arguments: argparse.Namespace) -> bool:
    """Measure, print, and tell whether every promise was kept."""
    result = sustained(
        rig, minutes=arguments.minutes, load=arguments.load, workers=arguments.workers
    )
    console = Console()
    show(result, console if console.is_terminal else Console(width=LOG_WIDTH))
    if arguments.json is not None:
        whole = msgspec.json.format(msgspec.json.encode(result), indent=1)
        arguments.json.write_bytes(whole + b"\n")
    return result.is_kept
