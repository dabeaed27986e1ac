"""What a target is: a check of properties that takes any bytes, and where its inputs come from."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """One kind of input.

    `check` returns for every input, or raises `AssertionError` where a property does not hold and
    whatever else where the product let something escape.
    """

    name: str
    check: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    words: tuple[bytes, ...] = ()
    """Tokens of the grammar, which a mutation puts in whole."""
    max_bytes: int = 4096
