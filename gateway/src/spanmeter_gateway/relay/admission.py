"""Which connections are let in, and which were cut off: counted on the board, told in the log.

Asked once for a connection, never for a call.
"""

import ipaddress
import logging
from collections import Counter
from typing import Protocol

from spanmeter_gateway.board import REFUSED_FIELDS, Column

REPORT_S = 60.0
"""The log has at most one line in this time, however many are refused."""
_IPV6_HOST_BITS = 64
"""One subscriber has at least so many of an IPv6 address to choose from (RFC 6177), so the network
before them counts as one address."""
_SPARE_DIVISOR = 10
"""Over the limit a tenth more are let in, and their calls answered 503 and counted like any; what
comes beyond that is cut off unread, which costs next to nothing."""

log = logging.getLogger("spanmeter.relay")


class ConnectionLimits(Protocol):
    """How many connections a worker takes."""

    @property
    def max_connections(self) -> int: ...
    @property
    def connections_per_address(self) -> int | None: ...


class Admission:
    """The door of one relay process."""

    def __init__(self, column: Column) -> None:
        self._column = column
        self._open_by_address: Counter[str] = Counter()
        self._unreported: Counter[str] = Counter()
        self._reported_s: float | None = None

    def admit(self, limits: ConnectionLimits, address: str, *, connections: int) -> bool:
        """Let a new connection in, or count that it was not; `connections`: with it."""
        most = limits.max_connections
        if connections > most + most // _SPARE_DIVISOR + 1:
            self.note("max_connections")
            return False
        per_address = limits.connections_per_address
        source = source_of(address)
        if per_address is not None and self._open_by_address[source] >= per_address:
            self.note("per_address")
            return False
        self._open_by_address[source] += 1
        return True

    def leave(self, address: str) -> None:
        """Forget a connection that was let in."""
        source = source_of(address)
        self._open_by_address[source] -= 1
        if not self._open_by_address[source]:
            del self._open_by_address[source]

    def note(self, reason: str) -> None:
        """Count a connection that was refused or cut off; the reason is one of `REFUSED_FIELDS`."""
        self._column.add(REFUSED_FIELDS[reason])
        self._unreported[reason] += 1

    def report(self, now_s: float) -> None:
        """Tell the log of what was refused since the last line; called by the sweep."""
        if not self._unreported:
            return
        if self._reported_s is not None and now_s - self._reported_s < REPORT_S:
            return
        found = ", ".join(f"{reason} {count}" for reason, count in self._unreported.items())
        log.warning("connections refused: %s (docs/operations.md)", found)
        self._unreported.clear()
        self._reported_s = now_s


def source_of(address: str) -> str:
    """Name whose address this is: an IPv4 address alone, of an IPv6 address the network."""
    if ":" not in address:
        return address
    found = ipaddress.IPv6Address(address)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(int(found) >> _IPV6_HOST_BITS)
