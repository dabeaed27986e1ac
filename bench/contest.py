"""A contest: candidates that are up at once and take turns, round by round."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.candidates import Candidate
from bench.rig import Figures, Invalid, Rig


@dataclass(frozen=True, slots=True)
class Pace:
    """How long and how often things are measured."""

    rounds: int = 7
    window_s: float = 3.0
    ceiling_rounds: int = 5
    ceiling_window_s: float = 1.2
    memory_rounds: int = 3

    @property
    def window(self) -> str:
        """Give the window as the load generator takes it."""
        return f"{self.window_s}s"


QUICK = Pace(rounds=5, window_s=0.6, ceiling_rounds=3, ceiling_window_s=0.5, memory_rounds=1)


@dataclass(slots=True)
class Noise:
    """What disturbed the rounds."""

    stolen: list[float] = field(default_factory=list)
    """The share of the machine that its host took, per run."""
    others: list[float] = field(default_factory=list)
    """The share of the candidate's core that other processes took, per run."""
    failures: list[str] = field(default_factory=list)


Turn = Callable[[Candidate], Figures]


@dataclass(slots=True)
class Contest:
    """The two that are compared, the way without a gateway, and what was seen beside the runs."""

    rig: Rig
    pace: Pace
    direct: Candidate
    reference: Candidate
    ours: Candidate
    noise: Noise = field(default_factory=Noise)
    sent: int = 0
    """Calls made through candidates that write receipts."""
    receipts: int = 0

    @property
    def both(self) -> tuple[Candidate, Candidate]:
        """Give the two that are compared."""
        return self.reference, self.ours

    def play(self, turn: Turn, candidates: Sequence[Candidate] = ()) -> dict[str, list[Figures]]:
        """Let each candidate have its turn in every round, after one that does not count.

        The order turns with the rounds. A round in which a run failed is left out for everybody.
        """
        players = list(candidates or self.both)
        kept: dict[str, list[Figures]] = {player.name: [] for player in players}
        for number in range(self.pace.rounds + 1):
            start = number % len(players)
            found = {one.name: self.take(one, turn) for one in players[start:] + players[:start]}
            if number == 0:
                continue
            for name, figures in found.items():
                if figures is not None and None not in found.values():
                    kept[name].append(figures)
        return kept

    def take(self, candidate: Candidate, turn: Turn) -> Figures | None:
        """Run one turn; `None` when calls failed in it."""
        try:
            figures = turn(candidate)
        except Invalid as error:
            self.noise.failures.append(f"{candidate.name}: {error}")
            print(f"bench: {candidate.name}: {error}", file=sys.stderr)
            if candidate.spool is not None:
                candidate.spool.take()
            return None
        self.noise.stolen.append(figures.stolen)
        if candidate is not self.direct:
            self.noise.others.append(max(0.0, figures.busy.get("0", 0.0) - figures.cpu_share))
        if candidate.spool is not None:
            self.sent += figures.sent
            self.receipts += candidate.spool.settle(figures.sent)
        return figures
