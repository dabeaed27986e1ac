"""Prices from the configuration: they win over the list, and price models of one's own.

Knows nothing of the list. Which override answers: an exact model before a prefix, a longer prefix
before a shorter one, a named provider before any, and of equals the last one written.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal

from spanmeter_gateway.metering.rates import Rates, complete


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceOverride:
    """The prices of a model, in USD per million tokens (`request_usd`: per call).

    What is `None` costs what the wider kind costs: cached, written and audio tokens the input
    price (or, for audio output and reasoning, the output price), writes for an hour the write
    price. Raises `ValueError` for a price that is negative or not finite.
    """

    provider: str | None = None
    """OpenTelemetry `gen_ai.provider.name`, or the name of an own provider; `None`: any."""
    model: str
    """Exact name, or a prefix that ends in `*`; upper and lower case are equal."""
    input_usd_per_mtok: Decimal
    output_usd_per_mtok: Decimal
    cache_read_usd_per_mtok: Decimal | None = None
    cache_write_usd_per_mtok: Decimal | None = None
    cache_write_1h_usd_per_mtok: Decimal | None = None
    reasoning_usd_per_mtok: Decimal | None = None
    input_audio_usd_per_mtok: Decimal | None = None
    cache_read_audio_usd_per_mtok: Decimal | None = None
    output_audio_usd_per_mtok: Decimal | None = None
    request_usd: Decimal | None = None

    def __post_init__(self) -> None:
        """Refuse what is not a price."""
        for name, price in self._prices():
            if not price.is_finite() or price < 0:
                raise ValueError(f"{name} must be a finite number, zero or more")

    def _prices(self) -> Iterable[tuple[str, Decimal]]:
        for field in fields(self):
            price = getattr(self, field.name)
            if isinstance(price, Decimal):
                yield field.name, price

    def rates(self) -> Rates:
        """Turn the prices into rates."""
        prices = {name.removesuffix("_usd_per_mtok"): price for name, price in self._prices()}
        call_usd = prices.pop("request_usd", Decimal(0))
        return complete(prices, call_usd)


class Overrides:
    """The configured prices, asked by provider and by the names that a call's model goes by."""

    def __init__(self, overrides: Sequence[PriceOverride]) -> None:
        self._best_first = sorted(reversed(overrides), key=_precision, reverse=True)

    def find(self, provider: str | None, models: Iterable[str]) -> PriceOverride | None:
        """Return the override for the first of the names that has one."""
        for model in models:
            for override in self._best_first:
                if override.provider in (None, provider) and _matches(override.model, model):
                    return override
        return None


def _precision(override: PriceOverride) -> tuple[bool, int, bool]:
    return (
        not override.model.endswith("*"),
        len(override.model),
        override.provider is not None,
    )


def _matches(pattern: str, model: str) -> bool:
    pattern, model = pattern.lower(), model.lower()
    return model.startswith(pattern[:-1]) if pattern.endswith("*") else model == pattern
