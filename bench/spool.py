"""The spool that the relay under test writes: counted, and emptied between runs."""

import time
from dataclasses import dataclass
from pathlib import Path

RECEIPT = b'\n{"type":"receipt"'
"""How a receipt's line begins; a segment's header is before the first. The line of an open call has
a receipt too, inside."""
FLUSH_S = 0.25
FLUSH_LIMIT_S = 5.0


@dataclass(frozen=True, slots=True)
class SpoolFolder:
    """A folder of segments, with nobody to read them but us."""

    folder: Path

    def segments(self) -> list[Path]:
        """List the segments that are whole, oldest first."""
        return sorted(self.folder.rglob("*.ndjson"))

    def count(self) -> int:
        """Count the receipts that are there."""
        return sum(segment.read_bytes().count(RECEIPT) for segment in self.segments())

    def take(self, mark: bytes = RECEIPT) -> int:
        """Count the receipts that are there, and delete their segments."""
        receipts = 0
        for segment in self.segments():
            receipts += segment.read_bytes().count(mark)
            segment.unlink()
        return receipts

    def settle(self, expected: int, mark: bytes = RECEIPT) -> int:
        """Take the receipts of calls that have ended, waiting for the last flush."""
        until = time.monotonic() + FLUSH_LIMIT_S
        receipts = self.take(mark)
        while receipts < expected and time.monotonic() < until:
            time.sleep(FLUSH_S)
            receipts += self.take(mark)
        return receipts
