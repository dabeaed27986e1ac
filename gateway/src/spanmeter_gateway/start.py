"""What the supervisor tells a child: lines of JSON on its standard input.

The first line starts it; the later ones bring a relay a new configuration in two steps, `prepare`
and then `commit`, or `drop`. The pipe stays open as long as the supervisor lives; its end is how a
child learns that the supervisor is gone, even after SIGKILL, so that no child outlives it for long.
"""

import os
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

from spanmeter_gateway.board import Board
from spanmeter_gateway.config import Config

_READ_BYTES = 65536


class Readable(Protocol):
    """What gives lines."""

    def readline(self) -> bytes: ...


class Lines:
    """The lines of a pipe. A buffered file would read ahead, out of reach of who reads next."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._read = b""

    def readline(self) -> bytes:
        """Return the next line; blocks until it has come; empty at the end of the pipe."""
        while b"\n" not in self._read:
            piece = os.read(self._fd, _READ_BYTES)
            if not piece:
                return b""
            self._read += piece
        line, _, self._read = self._read.partition(b"\n")
        return line


@dataclass(frozen=True, slots=True)
class Start:
    """The configuration, and for a relay its place among its siblings and its socket."""

    config: Config
    worker: int = 0
    fd: int | None = None
    """The listening socket, inherited; relays only."""
    board_fd: int | None = None
    """The board, inherited: its file may be that of a later gateway by now. `None`: the file."""
    generation: int = 1
    """Of the configuration."""

    def open_board(self) -> Board:
        """Map the board; raises `UnreadableBoard` or `OSError`."""
        if self.board_fd is None:
            return Board.open(self.config.data_dir / "board")
        return Board.of_fd(self.board_fd)

    def to_line(self) -> bytes:
        """Write the line, its newline included."""
        config = msgspec.Raw(self.config.to_json().encode())
        line = _Line(config, self.worker, self.fd, self.board_fd, self.generation)
        return msgspec.json.encode(line) + b"\n"

    @classmethod
    def read(cls, stream: Readable) -> "Start":
        """Read the line; blocks until it has come."""
        line = msgspec.json.decode(stream.readline(), type=_Line)
        config = Config.from_json(bytes(line.config))
        return cls(config, line.worker, line.fd, line.board_fd, line.generation)


@dataclass(frozen=True, slots=True)
class Step:
    """One step on the way to the next generation of the configuration; `prepare` brings it."""

    do: Literal["prepare", "commit", "drop"]
    generation: int
    config: Config | None = None

    def to_line(self) -> bytes:
        """Write the line, its newline included."""
        config = msgspec.Raw(self.config.to_json().encode() if self.config else b"null")
        return msgspec.json.encode(_StepLine(self.do, self.generation, config)) + b"\n"

    @classmethod
    def read(cls, line: bytes) -> "Step":
        """Read what `to_line` wrote."""
        step = msgspec.json.decode(line, type=_StepLine)
        config = Config.from_json(bytes(step.config)) if step.do == "prepare" else None
        return cls(step.do, step.generation, config)


class _Line(msgspec.Struct):
    config: msgspec.Raw
    worker: int
    fd: int | None
    board_fd: int | None
    generation: int


class _StepLine(msgspec.Struct):
    do: Literal["prepare", "commit", "drop"]
    generation: int
    config: msgspec.Raw
