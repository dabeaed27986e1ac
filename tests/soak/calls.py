"""The calls of a soak: what is sent, how each ended as its client saw it, as a line of a file."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tests.traffic import BUSY, MESSAGE, PLAIN, REFUSED, STREAMED, End, Kind

FEATURES = 6
TEAMS = 4

Left = Literal["answered", "broken", "left", "unsent"]
"""How a client's part ended: answered whole; the connection broke; it left; never got through."""


@dataclass(frozen=True, slots=True)
class Sort:
    """One sort of call in the mix."""

    kind: Kind
    weight: int
    leaves_after_s: float | None = None
    """The client leaves in the midst of the answer, after up to so long."""


def _slow(pause_s: float) -> Kind:
    return Kind(STREAMED.body, (("x-script", f"drip {pause_s}"),))


ENDLESS = Kind(
    STREAMED.body, (("x-script", "endless-stream 0.05"),),
    outcome="cancelled", error_type="client_disconnected",
)  # fmt: skip
SORTS: Mapping[str, Sort] = {
    "plain": Sort(PLAIN, 40),
    "streamed": Sort(STREAMED, 22),
    "message": Sort(MESSAGE, 10),
    "refused": Sort(REFUSED, 8),
    "busy": Sort(BUSY, 8),
    "drip": Sort(_slow(0.1), 5),
    "long": Sort(_slow(0.4), 3),
    "cancelled": Sort(ENDLESS, 4, leaves_after_s=1.5),
}
"""The longer ones outlive a flush, so that a killed relay leaves some of them to the books."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call as its client saw it; times are monotonic, the same in all processes (Linux)."""

    id: str
    feature: str
    sort: str
    connection: int
    began_s: float
    ended_s: float
    how: Left
    status: int | None
    closes: bool = False
    """Its client then closed the connection, and cannot see it break."""

    @property
    def end(self) -> End:
        """What it must be counted as, where its relay lived."""
        kind = SORTS[self.sort].kind
        return self.feature, kind.outcome, kind.error_type

    @property
    def is_right(self) -> bool:
        """Say whether the answer, if it came, was the one that was asked for."""
        return self.status is None or self.status == SORTS[self.sort].kind.status


@dataclass(frozen=True, slots=True)
class Lost:
    """A connection that the other side ended, and when its client noticed."""

    connection: int
    at_s: float


def written(value: Call | Lost) -> dict[str, Any]:
    """Give what is written down of it."""
    return asdict(value)


def read(line: Mapping[str, Any]) -> Call | Lost:
    """Read what was written down."""
    return Call(**line) if "sort" in line else Lost(**line)
