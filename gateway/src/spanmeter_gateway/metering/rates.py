"""Rates: the prices of one model as whole numbers, and the exact arithmetic of a bill.

A price of 2.50 USD per million tokens is 2,500 nano-dollars a token; where a price is no whole
number of nano-dollars, all rates of the model are multiplied by the smallest `unit` that makes
them whole, so no digit is ever lost. Each class is rounded once, half to even, to nano-dollars;
the cost of a call is the sum of its classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import lcm

from spanmeter.usage import Usage
from spanmeter_gateway.bill import ClassAmount, TokenClass
from spanmeter_gateway.metering.classes import new

_NANOS = 10**9
_TOKENS = 10**6


@dataclass(frozen=True, slots=True)
class Rates:
    """What a token of each class costs, and of the kinds within a class that cost something else.

    `None`: no price is known, which never means free.
    """

    input: int | None
    output: int | None
    cache_read: int | None
    cache_write: int | None
    """Kept for five minutes, or for as long as the provider's only cache keeps it."""
    cache_write_1h: int | None
    reasoning: int | None
    input_audio: int | None
    cache_read_audio: int | None
    output_audio: int | None
    input_image: int | None
    output_image: int | None
    call: int
    """A fee per call."""
    unit: int
    """All rates are in nano-dollars divided by this."""
    by_kind: bool
    """Some kind does not cost what its class costs."""


def complete(prices: Mapping[str, Decimal], call_usd: Decimal = Decimal(0)) -> Rates:
    """Make rates of the stated prices, keyed by field name, in USD per million tokens.

    A kind of token that has no price of its own costs what the wider kind costs: that is how
    providers bill it, and how the list is written. Caching without a stated discount has none.
    """
    nanos = {name: Fraction(price) * _NANOS / _TOKENS for name, price in prices.items()}
    fee = Fraction(call_usd) * _NANOS
    unit = lcm(fee.denominator, *(price.denominator for price in nanos.values()))
    stated = {name: int(price * unit) for name, price in nanos.items()}
    tokens, output = stated.get("input"), stated.get("output")
    read, write = stated.get("cache_read", tokens), stated.get("cache_write", tokens)
    kinds = {
        "input_audio": (tokens, stated.get("input_audio", tokens)),
        "input_image": (tokens, stated.get("input_image", tokens)),
        "cache_read_audio": (read, stated.get("cache_read_audio", read)),
        "cache_write_1h": (write, stated.get("cache_write_1h", write)),
        "output_audio": (output, stated.get("output_audio", output)),
        "output_image": (output, stated.get("output_image", output)),
    }
    return Rates(
        input=tokens,
        output=output,
        cache_read=read,
        cache_write=write,
        reasoning=stated.get("reasoning", output),
        call=int(fee * unit),
        unit=unit,
        by_kind=any(of_class != of_kind for of_class, of_kind in kinds.values()),
        **{name: of_kind for name, (_, of_kind) in kinds.items()},
    )


def costs(
    usage: Usage, tokens: tuple[ClassAmount, ...], rates: Rates
) -> tuple[ClassAmount, ...] | None:
    """Cost the classes in nano-dollars; `None` when one that has tokens has no price."""
    extra = None
    if rates.by_kind and _has_kinds(usage):
        extra = _beyond_class(usage, dict(tokens), rates)
    unit = rates.unit
    listed = []
    for name, count in tokens:
        rate = getattr(rates, name)
        if rate is None:
            if count:
                return None
            rate = 0
        due = count * rate
        if extra is not None:
            due += extra.get(name, 0)
        if unit != 1:
            due = rounded(due, unit)
        listed.append(new(ClassAmount, (name, due)))
    if rates.call:
        listed.append(ClassAmount("total", rounded(rates.call, unit)))
    return tuple(listed)


def rounded(due: int, unit: int) -> int:
    """Divide to a whole number, a tie to the even one (`ROUND_HALF_EVEN`)."""
    whole, rest = divmod(due, unit)
    rest += rest
    return whole + 1 if rest > unit or (rest == unit and whole & 1) else whole


def _has_kinds(usage: Usage) -> bool:
    return bool(
        usage.cache_write_1h_tokens
        or usage.input_audio_tokens
        or usage.output_audio_tokens
        or usage.cache_read_audio_tokens
        or usage.input_image_tokens
        or usage.output_image_tokens
    )


def _beyond_class(
    usage: Usage, tokens: Mapping[TokenClass, int], rates: Rates
) -> Mapping[TokenClass, int]:
    """Say what audio, images and long caching cost beyond their class's rate; may be negative."""
    uncached, read = tokens.get("input", 0), tokens.get("cache_read", 0)
    write, output = tokens.get("cache_write", 0), tokens.get("output", 0)
    heard_again = max(usage.cache_read_audio_tokens or 0, 0)
    heard = min(max(usage.input_audio_tokens or 0, heard_again), uncached + read)
    # Audio that the uncached input has no room for was read from the cache, reported or not.
    heard_again = min(max(heard_again, heard - uncached), read)
    heard = min(heard - heard_again, uncached)
    seen = min(max(usage.input_image_tokens or 0, 0), uncached - heard)
    hour = min(max(usage.cache_write_1h_tokens or 0, 0), write)
    spoken = min(max(usage.output_audio_tokens or 0, 0), output)
    drawn = min(max(usage.output_image_tokens or 0, 0), output - spoken)
    return {
        "input": heard * _more(rates.input_audio, rates.input)
        + seen * _more(rates.input_image, rates.input),
        "cache_read": heard_again * _more(rates.cache_read_audio, rates.cache_read),
        "cache_write": hour * _more(rates.cache_write_1h, rates.cache_write),
        "output": spoken * _more(rates.output_audio, rates.output)
        + drawn * _more(rates.output_image, rates.output),
    }


def _more(kind: int | None, of_class: int | None) -> int:
    return 0 if kind is None or of_class is None else kind - of_class
