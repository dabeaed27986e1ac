"""Prices: a receipt in, its bill out. The only file that knows the price list.

The list is the data that comes with genai-prices, never its updater: no network. Its records are
resolved once per provider and model to whole numbers; its own calculation is not used. What a
receipt does not hold is not billed: web searches, code execution, cache storage by the hour.

A cost is all or nothing. A call whose usage is known only in part has the tokens of that part and
no cost (`incomplete_usage`), because a sum that misses a class would pass for the whole.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation, localcontext
from importlib.metadata import version
from typing import Final, NamedTuple

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import (
    ModelInfo,
    ModelPrice,
    PriceVariant,
    TieredPrices,
    TimeOfDateConstraint,
)

from spanmeter_gateway.bill import Bill, ClassAmount
from spanmeter_gateway.metering.classes import divide
from spanmeter_gateway.metering.corrections import (
    CORRECTIONS,
    NO_FALLBACK,
    UNLISTED,
    WEEKDAY_PEAKS,
    Tiered,
)
from spanmeter_gateway.metering.overrides import Overrides, PriceOverride
from spanmeter_gateway.metering.providers import (
    LIST_IDS,
    PREFIXED,
    SHORT_ANSWERS,
    TIERS_WITHOUT_SURCHARGE,
)
from spanmeter_gateway.metering.rates import Rates, complete, costs
from spanmeter_gateway.receipt import Receipt

__all__ = ["LIST_VERSION", "PriceBook", "PriceOverride"]

LIST_VERSION: Final = f"genai-prices {version('genai-prices')}"
CACHE_ENTRIES: Final = 10_000
NAME_CHARACTERS: Final = 200
_DAY_NS: Final = 86_400_000_000_000
_MINUTE_NS: Final = 60_000_000_000
_LAST_SECOND: Final = 253_402_300_799
"""Of the year 9999, the end of `datetime`."""

_TIERS: Final = {
    "batch": {"processing": "batch"},
    "fast": {"service_tier": "fast"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
}
"""Service tiers that do not cost the standard price: the answer's word for it, and the list's."""

_FIELDS: Final = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_reasoning_mtok": "reasoning",
    "input_audio_mtok": "input_audio",
    "cache_audio_read_mtok": "cache_read_audio",
    "output_audio_mtok": "output_audio",
    "input_image_mtok": "input_image",
    "output_image_mtok": "output_image",
}
"""The list's prices of tokens, and our names for them."""

Price = Decimal | TieredPrices | Tiered
Bands = tuple[tuple[int, Rates], ...]
"""Rates, and the count of input tokens above which they hold for the whole call; highest first."""

Asked = tuple[str | None, str | None, str | None, str | None]
"""Provider, the model that answered, the model that was sent, and a service tier with a price."""

_NOTHING: Final = Bill()
_SATURDAY: Final = 5


class Listed(NamedTuple):
    """A record of the list."""

    list_id: str
    """Of the provider under which it stands."""
    record: ModelInfo
    is_own: bool
    """It stands under the provider that was asked for."""


class Tariff:
    """The rates of one model, whatever the time of a call and the size of its input."""

    __slots__ = ("_at", "_bands", "_grain_ns", "_period", "version")

    def __init__(self, version: str, at: Callable[[int], Bands], grain_ns: int | None) -> None:
        self.version = version
        self._at = at
        self._grain_ns = grain_ns
        """How long prices stand still at least; `None`: for ever."""
        self._period = -1
        self._bands: Bands = at(0) if grain_ns is None else ()

    def rates(self, at_ns: int, input_tokens: int) -> Rates:
        """Return the rates for a call that began at `at_ns` with `input_tokens` in all."""
        if self._grain_ns is not None and at_ns // self._grain_ns != self._period:
            self._period = at_ns // self._grain_ns
            self._bands = self._at(at_ns)
        for above, rates in self._bands:
            if input_tokens > above:
                return rates
        return self._bands[-1][1]


class PriceBook:
    """Every price that is known: the configured ones, then the list's."""

    def __init__(self, overrides: Sequence[PriceOverride] = ()) -> None:
        self._overrides = Overrides(overrides)
        self._tariffs: dict[Asked, Tariff | str] = {}

    def bill(self, receipt: Receipt) -> Bill:
        """Divide a call's usage into classes and cost them; never raises.

        A cost that the provider reported wins over any price. `unpriced` is `unknown_provider`,
        `unknown_model`, `unknown_tier` (a service tier that is not billed at the standard price),
        `no_token_price` (listed, but not by the token) or `incomplete_usage`.
        """
        reported = None if receipt.reported_cost_usd is None else _reported_nanos(receipt)
        usage = receipt.usage
        if usage is None:
            return _NOTHING if reported is None else _reported_bill((), reported)
        tokens = divide(usage)
        if reported is not None:
            return _reported_bill(tokens, reported)
        if not tokens:
            return _NOTHING
        tariff = self._tariff(receipt)
        if isinstance(tariff, str):
            return Bill(tokens=tokens, unpriced=tariff)
        rates = tariff.rates(receipt.started_at_ns, usage.input_tokens or 0)
        if usage.input_tokens is None or (
            usage.output_tokens is None
            and rates.output is not None
            and receipt.operation != "embeddings"
        ):
            return Bill(tokens=tokens, unpriced="incomplete_usage")
        cost = costs(usage, tokens, rates)
        if cost is None:
            return Bill(tokens=tokens, unpriced="no_token_price")
        return Bill(tokens=tokens, cost_nanos=cost, source="local", price_version=tariff.version)

    def _tariff(self, receipt: Receipt) -> Tariff | str:
        sent = receipt.attempts[-1].model if receipt.attempts else None
        tier = receipt.service_tier
        asked: Asked = (
            receipt.provider,
            receipt.response_model,
            sent or receipt.request_model,
            tier if tier in _TIERS else None,
        )
        return self._tariffs.get(asked) or self._look_up(asked)

    def _look_up(self, asked: Asked) -> Tariff | str:
        # What is too long to be a name would only fill the cache.
        provider, answered, sent, tier = asked
        asked = (provider, _name(answered), _name(sent), tier)
        found = self._resolve(asked)
        if len(self._tariffs) >= CACHE_ENTRIES:
            del self._tariffs[next(iter(self._tariffs))]
        self._tariffs[asked] = found
        return found

    def _resolve(self, asked: Asked) -> Tariff | str:
        provider, answered, sent, tier = asked
        models = [model for model in (answered, sent) if model]
        override = self._overrides.find(provider, models)
        if override is not None:
            bands: Bands = ((0, override.rates()),)
            return Tariff("config", lambda _: bands, None)
        list_id = LIST_IDS.get(provider, provider) if provider else ""
        if list_id not in _PROVIDERS and list_id != PREFIXED:
            return "unknown_provider"
        if list_id in SHORT_ANSWERS and sent and sent.startswith(answered or ""):
            models.reverse()
        listed = next(filter(None, (_find(list_id, model) for model in models)), None)
        if listed is None:
            return "unknown_model"
        if tier is None or (listed.list_id, tier) in TIERS_WITHOUT_SURCHARGE:
            return _list_tariff(listed, None)
        if not _variants(listed, tier):
            return "unknown_tier"
        return _list_tariff(listed, tier)


_PROVIDERS: Final = {provider.id: provider for provider in get_snapshot().providers}


def _find(list_id: str, model: str) -> Listed | None:
    """Find a model at its provider, or at one whose prices that provider shares."""
    if list_id == PREFIXED:
        prefix, _, model = model.partition("/")
        list_id = LIST_IDS.get(prefix, prefix)
    provider = _PROVIDERS.get(list_id)
    if provider is None or (list_id, model.lower()) in UNLISTED:
        return None
    # Google names models by path: `models/...`, `publishers/google/models/...`.
    # https://cloud.google.com/vertex-ai/generative-ai/docs/learn/model-versions
    name = model.rpartition("/")[2] if list_id == "google" else model
    for shared_by in (list_id, *(provider.fallback_model_providers or ())):
        if (list_id, shared_by) not in NO_FALLBACK:
            record = _PROVIDERS[shared_by].find_model(name)
            if record is not None:
                return Listed(shared_by, record, shared_by == list_id)
    return None


def _variants(listed: Listed, tier: str) -> list[PriceVariant]:
    """List a tier's prices; a provider that shares another's prices does not share those."""
    context = _TIERS[tier]
    variants = listed.record.price_variants or () if listed.is_own else ()
    return [variant for variant in variants if variant.when.items() <= context.items()]


def _list_tariff(listed: Listed, tier: str | None) -> Tariff:
    is_weekday_priced = (listed.list_id, listed.record.id) in WEEKDAY_PEAKS
    context = None if tier is None else _TIERS[tier]

    def at(at_ns: int) -> Bands:
        time = datetime.fromtimestamp(min(max(at_ns // 1_000_000_000, 0), _LAST_SECOND), UTC)
        if is_weekday_priced and time.weekday() >= _SATURDAY:
            time = time.replace(hour=12)  # between the peaks
        return _bands(listed, listed.record.get_prices(time, context))

    return Tariff(LIST_VERSION, at, _grain_ns(listed, tier))


def _grain_ns(listed: Listed, tier: str | None) -> int | None:
    """Say how often the prices may change: never, at midnight UTC, or at any minute."""
    standard = listed.record.prices
    constraints = [] if isinstance(standard, ModelPrice) else [one.constraint for one in standard]
    if tier is not None:
        constraints += [variant.constraint for variant in _variants(listed, tier)]
    if not any(constraints):
        return None
    on_dates = not any(isinstance(constraint, TimeOfDateConstraint) for constraint in constraints)
    return _DAY_NS if on_dates else _MINUTE_NS


def _bands(listed: Listed, price: ModelPrice) -> Bands:
    prices: dict[str, Price] = {
        name: value for name, value in vars(price).items() if value is not None
    }
    for name, correction in CORRECTIONS.get((listed.list_id, listed.record.id), {}).items():
        if prices.get(name) == correction.listed:
            prices[name] = correction.right
    if not prices and listed.record.id.endswith(":free"):
        prices = {"input_mtok": Decimal(0), "output_mtok": Decimal(0)}
    starts = {0}
    for value in prices.values():
        if isinstance(value, TieredPrices):
            starts.update(tier.start for tier in value.tiers)
        elif isinstance(value, Tiered):
            starts.add(value.above)
    return tuple((start, _rates(prices, start)) for start in sorted(starts, reverse=True))


def _rates(prices: Mapping[str, Price], start: int) -> Rates:
    stated = {
        field: _price_above(prices[name], start)
        for name, field in _FIELDS.items()
        if name in prices
    }
    per_thousand_calls = _price_above(prices.get("requests_kcount", Decimal(0)), start)
    return complete(stated, per_thousand_calls / 1000)


def _price_above(price: Price, start: int) -> Decimal:
    """Return the price of a call whose input exceeds `start` tokens by one."""
    if isinstance(price, Tiered):
        return price.price if start >= price.above else price.base
    if isinstance(price, TieredPrices):
        reached = [tier.price for tier in price.tiers if start >= tier.start]
        return reached[-1] if reached else price.base
    return price


def _name(model: str | None) -> str | None:
    return None if model is None or len(model) > NAME_CHARACTERS else model


def _reported_bill(tokens: tuple[ClassAmount, ...], nanos: int) -> Bill:
    return Bill(tokens=tokens, cost_nanos=(ClassAmount("total", nanos),), source="provider")


def _reported_nanos(receipt: Receipt) -> int | None:
    """Add up what the provider reported; `None` when that is no amount of money."""
    if receipt.reported_cost_usd is None:
        return None
    total = Decimal(0)
    for text in (receipt.reported_cost_usd, receipt.upstream_cost_usd or "0"):
        try:
            amount = Decimal(text)
        except InvalidOperation:
            return None
        if not amount.is_finite() or amount < 0 or amount.adjusted() > 12:
            return None
        total += amount
    with localcontext(prec=80):
        return int(total.scaleb(9).to_integral_value(ROUND_HALF_EVEN))
