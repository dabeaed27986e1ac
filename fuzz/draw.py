"""Choices off the front of an input: pure, so that a file is the same case in every run.

A choice that an exhausted input does not make is the first one.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

_Option = TypeVar("_Option")

WHOLE = b"\0"
"""As the choice of a split: in one piece."""
IN_SEVENS = b"\x86"
"""As the choice of a split: after every seven bytes."""


class Draw:
    """An input that is read from the front."""

    def __init__(self, raw: bytes) -> None:
        self.rest = raw
        """What has not been read: the input proper."""

    def number(self, most: int = 255) -> int:
        """Take a number from 0 to `most`, of one byte."""
        head, self.rest = self.rest[:1], self.rest[1:]
        return head[0] % (most + 1) if head else 0

    def one_of(self, options: Sequence[_Option]) -> _Option:
        """Take one of the options."""
        return options[self.number(len(options) - 1)]

    def split(self) -> "Split":
        """Take the way in which the rest is cut: after every few bytes, or at some places."""
        first = self.number()
        if first >= 128:
            return Split(step=first - 127)
        places = [self.number() << 8 | self.number() for _ in range(first % 8)]
        return Split(places=places)


class Split:
    """A way to cut bytes into pieces."""

    def __init__(self, *, step: int = 0, places: Sequence[int] = ()) -> None:
        self._step = step
        self._places = places

    def cut(self, raw: bytes) -> list[bytes]:
        """Cut the bytes; no piece is empty, and of nothing there is none."""
        if self._step:
            return [raw[at : at + self._step] for at in range(0, len(raw), self._step)]
        places = sorted({0, len(raw), *(place % (len(raw) + 1) for place in self._places)})
        return [raw[start:end] for start, end in pairwise(places)]
