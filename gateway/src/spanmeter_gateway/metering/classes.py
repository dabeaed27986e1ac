"""Token classes: a usage, whose counts overlap, divided into parts that add up.

Pure, and knows nothing of money. Counts that contradict each other (more cached than input, more
reasoning than output) are cut to their total, so the classes of a direction always add up to it.
"""

from typing import NamedTuple

from spanmeter.usage import Usage
from spanmeter_gateway.bill import ClassAmount

new = tuple.__new__
"""`new(ClassAmount, (name, count))` takes half the time of the constructor, and a bill makes two
for each class."""


class _Counts(NamedTuple):
    """The overlapping counts of one usage. `None`: the provider did not say how many."""

    total: int | None
    read: int
    write: int
    output: int | None
    reasoning: int


def divide(usage: Usage) -> tuple[ClassAmount, ...]:
    """List the classes that have tokens; of a usage of nothing, the zeros that it stated.

    Details that are absent count as no tokens; so does nothing else: a class whose total is
    unknown is not listed.
    """
    total, output = usage.input_tokens, usage.output_tokens
    read, reasoning = usage.cache_read_tokens or 0, usage.reasoning_tokens or 0
    write = usage.cache_write_tokens
    if write is None:
        write = (usage.cache_write_5m_tokens or 0) + (usage.cache_write_1h_tokens or 0)
    if (
        (total is not None and total < read + write)
        or (output is not None and output < reasoning)
        or (read < 0 or write < 0 or reasoning < 0)
    ):
        counts = _Counts(total, read, write, output, reasoning)
        total, read, write, output, reasoning = _reconciled(counts)
    listed = []
    if total is not None and total > read + write:
        listed.append(new(ClassAmount, ("input", total - read - write)))
    if read:
        listed.append(new(ClassAmount, ("cache_read", read)))
    if write:
        listed.append(new(ClassAmount, ("cache_write", write)))
    if output is not None and output > reasoning:
        listed.append(new(ClassAmount, ("output", output - reasoning)))
    if reasoning:
        listed.append(new(ClassAmount, ("reasoning", reasoning)))
    return tuple(listed) if listed else _zeros(usage)


def _reconciled(counts: _Counts) -> _Counts:
    """Cut parts to their totals, and what is below zero to zero."""
    total, read, write, output, reasoning = (
        count if count is None else max(count, 0) for count in counts
    )
    read, write, reasoning = read or 0, write or 0, reasoning or 0
    if total is not None:
        read = min(read, total)
        write = min(write, total - read)
    if output is not None:
        reasoning = min(reasoning, output)
    return _Counts(total, read, write, output, reasoning)


def _zeros(usage: Usage) -> tuple[ClassAmount, ...]:
    zeros = []
    if usage.input_tokens is not None:
        zeros.append(ClassAmount("input", 0))
    if usage.output_tokens is not None:
        zeros.append(ClassAmount("output", 0))
    return tuple(zeros)
