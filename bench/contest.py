"""A contest: candidates that are up at once and take turns, round by round."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from bench.candidates import Candidate
from bench.rig import Figures, Invalid, Rig

DISTURBED = 0.12
"""A round in which others used more than this, in cores, is played again."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long and how often things are measured."""

    rounds: int = 5
    again: int = 2
    """Rounds that may be played more, in place of disturbed ones."""
    window_s: float = 2.0
    ceiling_rounds: int = 5
    ceiling_window_s: float = 1.2
    memory_rounds: int = 3

    @property
    def window(self) -> str:
        """Give the window as the load generator takes it."""
        return f"{self.window_s}s"


QUICK = Pace(rounds=5, window_s=0.6, ceiling_rounds=3, ceiling_window_s=0.5, memory_rounds=1)
TOGETHER = Pace(rounds=3, again=1, window_s=2.0, ceiling_rounds=2, ceiling_window_s=1.0)
"""Where all peers take part: a round is five times as long."""
QUICK_TOGETHER = Pace(rounds=1, again=0, window_s=0.6, ceiling_rounds=1, ceiling_window_s=0.5)


@dataclass(slots=True)
class Noise:
    """What disturbed the rounds."""

    stolen: list[float] = field(default_factory=list)
    """The share of the machine that its host took, per run."""
    others: list[float] = field(default_factory=list)
    """What other processes took, in cores, per round that counts: its most disturbed run."""
    failures: list[str] = field(default_factory=list)


T = TypeVar("T")
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
    _disturbance: float = 0.0

    @property
    def both(self) -> tuple[Candidate, Candidate]:
        """Give the two that are compared."""
        return self.reference, self.ours

    def play(self, turn: Turn, candidates: Sequence[Candidate] = ()) -> dict[str, list[Figures]]:
        """Let each candidate have its turn in every round; the order turns with the rounds."""
        players = list(candidates or self.both)

        def one_round(number: int) -> dict[str, Figures] | None:
            start = number % len(players)
            found = {one.name: self.take(one, turn) for one in players[start:] + players[:start]}
            whole = {name: figures for name, figures in found.items() if figures is not None}
            return whole if len(whole) == len(players) else None

        rounds = self.rounds(one_round)
        return {one.name: [found[one.name] for found in rounds] for one in players}

    def rounds(self, one_round: Callable[[int], T | None]) -> list[T]:
        """Play one round that does not count, then as many as were asked for.

        Rounds that others disturbed are played again, within a limit; of all the least disturbed
        are kept. A round in which calls failed is left out for everybody.
        """
        played: list[tuple[float, T]] = []
        for number in range(self.pace.rounds + self.pace.again + 1):
            self._disturbance = 0.0
            found = one_round(number)
            if number and found is not None:
                played.append((self._disturbance, found))
            quiet = sum(disturbance < DISTURBED for disturbance, _ in played)
            if quiet >= self.pace.rounds:
                break
        played.sort(key=lambda one: one[0])
        kept = played[: self.pace.rounds]
        self.noise.others.extend(disturbance for disturbance, _ in kept)
        return [found for _, found in kept]

    @contextmanager
    def at(self, pace: Pace) -> Iterator[None]:
        """Measure at another pace for a while."""
        usual, self.pace = self.pace, pace
        try:
            yield
        finally:
            self.pace = usual

    def take(self, candidate: Candidate, turn: Turn) -> Figures | None:
        """Run one turn; `None` when calls failed in it."""
        try:
            figures = turn(candidate)
        except Invalid as error:
            self.noise.failures.append(f"{candidate.name}: {error}")
            self._account(candidate, error.sent)
            return None
        self.noise.stolen.append(figures.stolen)
        self._disturbance = max(self._disturbance, figures.others_share)
        self._account(candidate, figures.sent)
        return figures

    def _account(self, candidate: Candidate, sent: int) -> None:
        """Count the receipts of a turn, and empty the spool before it fills."""
        if candidate.spool is not None:
            self.sent += sent
            self.receipts += candidate.spool.settle(sent)
