"""What the supervisor tells a child: one line of JSON on its standard input.

The pipe stays open as long as the supervisor lives; its end is how a child learns that the
supervisor is gone, even after SIGKILL, so that no child outlives it for long.
"""

from dataclasses import dataclass
from typing import BinaryIO

import msgspec

from spanmeter_gateway.config import Config

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
"""Of the supervisor and its children alike: their lines stand in one log."""


@dataclass(frozen=True, slots=True)
class Start:
    """The configuration, and for a relay its place among its siblings and its socket."""

    config: Config
    worker: int = 0
    fd: int | None = None
    """The listening socket, inherited; relays only."""

    def to_line(self) -> bytes:
        """Write the line, its newline included."""
        config = msgspec.Raw(self.config.to_json().encode())
        line = {"config": config, "worker": self.worker, "fd": self.fd}
        return msgspec.json.encode(line) + b"\n"

    @classmethod
    def read(cls, stream: BinaryIO) -> "Start":
        """Read the line; blocks until it has come."""
        line = msgspec.json.decode(stream.readline(), type=_Line)
        return cls(Config.from_json(bytes(line.config)), line.worker, line.fd)


class _Line(msgspec.Struct):
    config: msgspec.Raw
    worker: int
    fd: int | None
