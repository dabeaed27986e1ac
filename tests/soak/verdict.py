"""The promises of a soak, held against what clients saw, what was killed, and what was counted.

- Each call that its client saw end has exactly one receipt, and the right one. Of a killed relay
  those may be missing that ended less than a flush before; each is matched to the kill by its time
  and by its connection, which must have broken with it.
- A call whose connection a kill broke is `relay_lost` if it had outlived a flush.
- Nothing is counted twice, nothing that nobody called is counted, and all counts agree.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.soak.calls import Call, Lost
from tests.traffic import End

CERTAIN_S = 2.0
"""What is so old at a kill must be on disk: a flush of 0.25 s, eight times over for a machine that
does much else. How old those were that are missing is told, and is far less."""
NOTICED_S = 2.0
"""So soon after a kill its clients see their connections end."""
LOST = ("gateway_error", "relay_lost")


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done to the gateway: `relay`, `books` or `restart`; from when until it was over."""

    kind: str
    from_s: float
    until_s: float


@dataclass(slots=True)
class Verdict:
    """What became of the calls."""

    calls: int = 0
    receipts: int = 0
    missing: int = 0
    """Younger than a flush when their relay was killed."""
    missing_age_s: float = 0.0
    """Of the oldest, from its end to the kill."""
    relay_lost: int = 0
    broken: int = 0
    violations: list[str] = field(default_factory=list)


class Court:
    """Judge each call."""

    def __init__(
        self, faults: Iterable[Fault], losts: Iterable[Lost], ends: Mapping[str, Sequence[End]]
    ) -> None:
        faults = list(faults)
        self._kills = [fault for fault in faults if fault.kind == "relay"]
        self._restarts = [fault for fault in faults if fault.kind == "restart"]
        self._lost_s = {lost.connection: lost.at_s for lost in losts}
        self._ends = ends
        self._closed_s: dict[int, float] = {}
        self.verdict = Verdict()

    def judge(self, calls: Sequence[Call]) -> Verdict:
        """Judge all calls; the violations are named by call."""
        verdict = self.verdict
        verdict.calls = len(calls)
        self._closed_s = {
            call.connection: call.ended_s for call in calls if call.closes or call.how == "left"
        }
        verdict.receipts = sum(len(ends) for ends in self._ends.values())
        for call in calls:
            self._judge(call, self._ends.get(call.id, ()))
        strangers = self._ends.keys() - {call.id for call in calls}
        verdict.violations += [f"{name}: counted, but nobody called" for name in sorted(strangers)]
        return verdict

    def _judge(self, call: Call, ends: Sequence[End]) -> None:
        wrong = self._wrong(call, ends)
        if len(ends) > 1:
            wrong = f"counted {len(ends)} times"
        elif not call.is_right:
            wrong = f"answered {call.status}"
        if wrong:
            self.verdict.violations.append(
                f"{call.id} ({call.sort}, {call.how}): {wrong}{self._circumstances(call)}"
            )

    def _wrong(self, call: Call, ends: Sequence[End]) -> str | None:
        kill = self._kill_of(call)
        if call.how in {"answered", "left"}:
            return self._wrong_end(call, ends, kill)
        self.verdict.broken += 1
        if kill is not None:
            return self._wrong_break(call, ends, kill)
        if call.how == "unsent" and self._is_restarting(call):
            return None
        return "its connection broke, and nobody was killed"

    def _wrong_end(self, call: Call, ends: Sequence[End], kill: Fault | None) -> str | None:
        if call.end in ends:
            return None
        age_s = kill.from_s - call.ended_s if kill else CERTAIN_S
        if not ends and age_s < CERTAIN_S:
            self.verdict.missing += 1
            self.verdict.missing_age_s = max(self.verdict.missing_age_s, age_s)
            return None
        return self._wrong_break(call, ends, kill) if kill else f"counted as {list(ends)}"

    def _wrong_break(self, call: Call, ends: Sequence[End], kill: Fault) -> str | None:
        if not ends:
            outlived_s = kill.from_s - call.began_s
            if outlived_s < CERTAIN_S:
                self.verdict.missing += 1
                return None
            return f"missing, {outlived_s:.2f} s old when its relay was killed"
        if ends[0][1:] == LOST:
            self.verdict.relay_lost += 1
            return None
        is_left = ends[0][1:] == ("cancelled", "client_disconnected")
        return None if is_left or call.end in ends else f"counted as {list(ends)}"

    def _circumstances(self, call: Call) -> str:
        """Say how far the nearest kill was, for whoever has to find out."""
        if not self._kills:
            return ""
        nearest = min(self._kills, key=lambda kill: abs(kill.from_s - call.ended_s))
        lost_s = self._lost_s.get(call.connection)
        lost = "never" if lost_s is None else f"{lost_s - nearest.from_s:+.2f} s"
        return (
            f"; of the nearest kill: began {call.began_s - nearest.from_s:+.2f} s, "
            f"ended {call.ended_s - nearest.from_s:+.2f} s, connection lost {lost}"
        )

    def _kill_of(self, call: Call) -> Fault | None:
        """Find the kill that ended the call's connection, at its end or soon after."""
        lost_s = self._lost_s.get(call.connection)
        # A client that left or closed has no connection that could break: only the time tells.
        at_s = call.ended_s if lost_s is None else lost_s
        for kill in self._kills:
            is_near = kill.from_s - CERTAIN_S < call.ended_s < kill.until_s + NOTICED_S
            is_broken = kill.from_s <= at_s < kill.until_s + NOTICED_S
            # Closed by a later call of its client, before it could be seen to break.
            closed_s = self._closed_s.get(call.connection, float("inf"))
            is_unseen = lost_s is None and closed_s < kill.until_s + NOTICED_S
            if is_near and (is_broken or is_unseen or call.how == "left" or call.closes):
                return kill
        return None

    def _is_restarting(self, call: Call) -> bool:
        return any(
            restart.from_s <= call.ended_s and call.began_s <= restart.until_s
            for restart in self._restarts
        )


def unequal(ends: Mapping[str, Sequence[End]], counted: Mapping[End, int]) -> list[str]:
    """Name what spans and `/metrics` differ by."""
    by_spans = Counter(end for each in ends.values() for end in each)
    return [
        f"{' '.join(end)}: {by_spans[end]} by spans, {counted.get(end, 0)} by /metrics"
        for end in sorted(by_spans.keys() | counted.keys())
        if by_spans[end] != counted.get(end, 0)
    ]
