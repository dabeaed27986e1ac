"""Calls that have not ended: remembered until their receipt comes, or until their relay is dead.

The calls of a dead relay are written into one more segment of that relay and entered like any
other, so that they are counted exactly once and their spans are sent by the same rules.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from spanmeter_gateway.books.counters import Batch, OpenRow
from spanmeter_gateway.receipt import OpenCall, Receipt
from spanmeter_gateway.spool.segment import (
    LOST_SEQUENCE,
    READY,
    SegmentName,
    Writer,
    write_segment,
)

_encode = msgspec.json.encode
_decode = msgspec.json.Decoder(Receipt).decode


class OpenCalls:
    """The calls that were open at the last commit."""

    def __init__(self, rows: Iterable[OpenRow]) -> None:
        self._rows = {row.call_id: row for row in rows}

    def writers(self) -> set[Writer]:
        """Name the relays that have open calls."""
        return {Writer(row.incarnation, row.worker) for row in self._rows.values()}

    def of(self, writer: Writer) -> list[OpenRow]:
        """List the open calls of one relay, the oldest first."""
        rows = [row for row in self._rows.values() if (row.incarnation, row.worker) == writer]
        return sorted(rows)

    def note(self, batch: Batch, name: SegmentName, opened: Sequence[OpenCall]) -> None:
        """Put the calls that a segment opened into a batch."""
        for line in opened:
            call_id = line.receipt.call_id
            receipt = _encode(line.receipt)
            batch.opened[call_id] = OpenRow(call_id, name.incarnation, name.worker, receipt)

    def end(self, batch: Batch, call_id: str) -> None:
        """Put the end of a call into a batch; most calls were never open."""
        batch.opened.pop(call_id, None)
        if call_id in self._rows:
            batch.closed.add(call_id)

    def apply(self, batch: Batch) -> None:
        """Take over what was committed."""
        self._rows.update(batch.opened)
        for call_id in batch.closed:
            del self._rows[call_id]


def lost_name(writer: Writer) -> SegmentName:
    """Name the segment that closes the calls of a dead relay."""
    return SegmentName(*writer, LOST_SEQUENCE)


def write_lost(folder: Path, writer: Writer, *, rows: Iterable[OpenRow], last_seen_ns: int) -> None:
    """Write the calls of a dead relay as its last segment; raises `OSError`.

    Not by way of a `.part`: of that, what a crash leaves would be taken for a whole segment.
    """
    name = lost_name(writer)
    lines = [_encode(_closed(_decode(row.receipt), last_seen_ns)) for row in rows]
    unnamed = folder / f"{name}.lost"
    write_segment(unnamed, name, lines)
    unnamed.rename(folder / f"{name}{READY}")


def _closed(receipt: Receipt, last_seen_ns: int) -> Receipt:
    return msgspec.structs.replace(
        receipt,
        outcome="gateway_error",
        error_type="relay_lost",
        error_source="gateway",
        duration_ns=max(receipt.duration_ns, last_seen_ns - receipt.started_at_ns),
    )
