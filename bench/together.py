"""Relay and books together under a steady load: calls kept, latency, how soon a call is seen."""

import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from bench.books import running_books
from bench.candidates import Candidate, free_ports
from bench.looking import looking
from bench.measures import OPEN_LOOP_CONNECTIONS
from bench.processes import CANDIDATE_CPU, RIG_CPU, Failed, Started, cpu_seconds
from bench.relay import configuration, relay
from bench.rig import TICK_S, Figures
from bench.rows import Bar, Row, Sheet, number
from bench.stage import Stage, tell

SHARES = (0.5, 0.7)
PLACES = {
    "the load's core": str(RIG_CPU),
    "either core": f"{CANDIDATE_CPU},{RIG_CPU}",
}
WINDOWS = 5
"""The load lasts so many windows of the other measures."""
LOOK_S = 0.2
"""Between two readings of /metrics: the grain of a lag. Books make each page, where a scraper asks
for one every 15 s, so that a finer grain would measure itself."""
ENTRY_LIMIT_S = 30.0
RELAY = "relay"
COUNTER = b"spanmeter_calls_total{"
LAG_BAR = Bar(2.0, 1.0, "less")
HEADINGS = (
    "load",
    "books on",
    "asked, calls/s",
    "of the relay's own",
    "kept",
    "added p50",
    "added p99",
    "lag p50",
    "lag p99",
    "lag at the end, over the beginning",
    "books' CPU per call",
)


@dataclass(slots=True)
class Sight:
    """What /metrics showed, read again and again: (time, calls counted)."""

    port: int
    seen: list[tuple[float, int]] = field(default_factory=list)

    def count(self) -> int:
        """Read the page once."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as page:
            lines = page.read().splitlines()
        return sum(int(float(line.split()[-1])) for line in lines if line.startswith(COUNTER))

    def look(self) -> None:
        """Take down what is shown now."""
        self.seen.append((time.time(), self.count()))

    def await_count(self, calls: int) -> None:
        """Look until so many calls are shown."""
        until = time.monotonic() + ENTRY_LIMIT_S
        self.look()
        while self.seen[-1][1] < calls and time.monotonic() < until:
            time.sleep(LOOK_S)
            self.look()
        if self.seen[-1][1] < calls:
            raise Failed(f"/metrics counts {self.seen[-1][1]} of {calls} calls, and no more come")


def lags_s(sight: Sight, figures: Figures, before: int) -> list[tuple[float, int]]:
    """Give for each tick how long its last call was not shown, and the number of its calls."""
    lags, calls, place = [], before, 0
    for tick, ended in enumerate(figures.ended_by_tick or ()):
        calls += ended
        while place < len(sight.seen) and sight.seen[place][1] < calls:
            place += 1
        if ended and place < len(sight.seen):
            ended_at = figures.began_ns / 1e9 + (tick + 0.5) * TICK_S
            lags.append((sight.seen[place][0] - ended_at, ended))
    return lags


def quantile(weighted: Sequence[tuple[float, int]], share: float) -> float:
    """Give a quantile of values that each stand for a number of calls."""
    left = share * sum(weight for _, weight in weighted)
    for value, weight in sorted(weighted):
        left -= weight
        if left <= 0:
            return value
    return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Steady:
    """One load, while books ran in one place."""

    share: float
    place: str
    rate: float
    relay_rate: float
    figures: Figures
    direct: Figures
    lags: list[tuple[float, int]]
    books_cpu_us: float

    @property
    def kept(self) -> float:
        """Give the share of the calls asked for that were made in time."""
        return self.figures.calls_per_s / self.rate

    @property
    def growth(self) -> float:
        """Compare the lag in the last third with the lag in the first."""
        third = max(1, len(self.lags) // 3)
        first, last = self.lags[:third], self.lags[-third:]
        return median(lag for lag, _ in last) / max(LOOK_S, median(lag for lag, _ in first))

    def cells(self) -> tuple[str, ...]:
        """Print it as a line."""
        p50, p99 = (
            (getattr(self.figures.latency_us, name) - getattr(self.direct.latency_us, name)) / 1000
            for name in ("p50", "p99")
        )
        return (
            f"{self.share:.0%}",
            self.place,
            number(self.rate),
            f"{self.rate / self.relay_rate:.0%}",
            f"{self.kept:.1%}",
            f"{number(p50)} ms",
            f"{number(p99)} ms",
            f"{number(quantile(self.lags, 0.5))} s",
            f"{number(quantile(self.lags, 0.99))} s",
            f"{number(self.growth)} x",
            f"{number(self.books_cpu_us)} us",
        )


def together(stage: Stage) -> list[Row]:
    """Load relay and books at shares of what both together carry, books here and there."""
    found = [
        steady
        for place, cpus in PLACES.items()
        for steady in _in_place(stage, place=place, cpus=cpus)
    ]
    stage.sheets.append(
        Sheet(
            title="Relay and books together, open loop",
            headings=HEADINGS,
            lines=tuple(one.cells() for one in found),
            notes=(
                "Shares are of the calls/s that relay and books carry together, on two cores that "
                "carry the load and the upstream too: a closed loop, until /metrics counts its "
                "last call. The relay's own are those without books. Lag: from a call's end to a "
                f"/metrics page that counts it; the page is read every {LOOK_S} s, by the load's "
                "core. Latency is over direct at the same rate.",
            ),
        )
    )
    return [
        Row(
            what=f"receipt to /metrics, p99, at {share:.0%} load",
            unit="s",
            reference=(),
            ours=tuple(quantile(one.lags, 0.99) for one in found if one.share == share),
            compared=tuple(quantile(one.lags, 0.99) for one in found if one.share == share),
            compared_unit="s",
            bar=LAG_BAR,
            note="books on the load's core, and on either",
        )
        for share in SHARES
    ]


def _in_place(stage: Stage, *, place: str, cpus: str) -> Iterator[Steady]:
    folder = stage.folder()
    [books_port] = free_ports(1)
    with relay(stage.mock, folder, RELAY) as candidate:
        port = candidate.calls.port
        config = replace(configuration(stage.mock, folder / RELAY, port), books_port=books_port)
        with running_books(config, stage.mock, folder / "books.log", cpu=cpus) as books:
            whole = Whole(stage, candidate, books, Sight(books_port), place)
            whole.warm_up()
            carried = whole.carried()
            for share in SHARES:
                tell(f"relay and books at {share:.0%} of {carried:,.0f} calls/s, books on {place}")
                yield whole.at(share, carried)


@dataclass(slots=True)
class Whole:
    """A relay, and books that enter its receipts as they come."""

    stage: Stage
    candidate: Candidate
    books: Started
    sight: Sight
    place: str
    made: int = 0

    def warm_up(self) -> None:
        """Make some calls and wait until they are shown: a new series is shown at 0 first."""
        self._load(rate=100, window="300ms")
        self.sight.await_count(self.made)

    def carried(self) -> float:
        """Measure how many calls a second are made and counted."""
        began_s = time.monotonic()
        sent = self._load(connections=OPEN_LOOP_CONNECTIONS, window=self._window).sent
        self.sight.await_count(self.made)
        return sent / (time.monotonic() - began_s)

    def at(self, share: float, carried: float) -> Steady:
        """Load both at a share of what they carry."""
        contest, sight = self.stage.contest, self.sight
        flags: dict[str, float | str] = {
            "rate": carried * share,
            "connections": OPEN_LOOP_CONNECTIONS,
            "window": self._window,
        }
        direct = contest.rig.calls(contest.direct.calls, (), **flags)
        sight.seen.clear()
        before, spent_s = self.made, cpu_seconds(self.books.pids)
        with looking(sight.look, every_s=LOOK_S):
            figures = self._load(**flags)
        sight.await_count(self.made)
        spent_s = cpu_seconds(self.books.pids) - spent_s
        return Steady(
            share=share,
            place=self.place,
            rate=carried * share,
            relay_rate=self.stage.full_rate(contest.ours),
            figures=figures,
            direct=direct,
            lags=lags_s(sight, figures, before),
            books_cpu_us=spent_s / figures.sent * 1e6,
        )

    @property
    def _window(self) -> str:
        return f"{self.stage.contest.pace.window_s * WINDOWS}s"

    def _load(self, **flags: float | str) -> Figures:
        rig = self.stage.contest.rig
        figures = rig.calls(self.candidate.calls, self.candidate.pids, **flags)
        self.made += figures.sent
        return figures
