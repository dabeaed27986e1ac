"""What the code takes for granted about the price list, so that a newer one cannot break it."""

from collections.abc import Iterator
from datetime import time
from decimal import Decimal

import pytest
from genai_prices.data import providers
from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    TieredPrices,
    TimeOfDateConstraint,
)

from spanmeter_gateway.metering.corrections import CORRECTIONS, NO_FALLBACK, UNLISTED, WEEKDAY_PEAKS
from spanmeter_gateway.metering.providers import LIST_IDS

PROVIDERS: dict[str, Provider] = {provider.id: provider for provider in providers}


def _models() -> Iterator[tuple[Provider, ModelInfo]]:
    return ((provider, model) for provider in providers for model in provider.models)


def _conditional(model: ModelInfo) -> list[ConditionalPrice]:
    if isinstance(model.prices, ModelPrice):
        return [ConditionalPrice(prices=model.prices)]
    return model.prices


def _record(list_id: str, model: str) -> ModelInfo:
    return next(record for record in PROVIDERS[list_id].models if record.id == model)


def test_every_provider_name_leads_to_the_list() -> None:
    assert {name for name, list_id in LIST_IDS.items() if list_id not in PROVIDERS} == set()


def test_providers_that_need_no_entry_are_listed_under_their_own_names() -> None:
    plain = {
        "openai", "anthropic", "groq", "deepseek", "perplexity", "cohere", "openrouter", "cerebras",
        "together", "fireworks", "zai",
    }  # fmt: skip

    assert plain - PROVIDERS.keys() == set()


@pytest.mark.parametrize(("list_id", "model"), CORRECTIONS)
def test_every_correction_still_has_its_subject(list_id: str, model: str) -> None:
    prices = _conditional(_record(list_id, model))[-1].prices

    listed = {name: getattr(prices, name) for name in CORRECTIONS[list_id, model]}

    assert listed == {
        name: correction.listed for name, correction in CORRECTIONS[list_id, model].items()
    }


@pytest.mark.parametrize(("list_id", "name"), sorted(UNLISTED))
def test_every_exclusion_still_has_its_subject(list_id: str, name: str) -> None:
    assert PROVIDERS[list_id].find_model(name) is not None


@pytest.mark.parametrize(("list_id", "shared_by"), sorted(NO_FALLBACK))
def test_every_refused_loan_of_prices_is_still_offered(list_id: str, shared_by: str) -> None:
    assert shared_by in (PROVIDERS[list_id].fallback_model_providers or [])


@pytest.mark.parametrize(("list_id", "model"), sorted(WEEKDAY_PEAKS))
def test_noon_utc_is_off_peak_where_weekends_have_no_peak(list_id: str, model: str) -> None:
    constraints = [price.constraint for price in _conditional(_record(list_id, model))]

    peaks = [peak for peak in constraints if isinstance(peak, TimeOfDateConstraint)]

    assert peaks != []
    assert [
        peak
        for peak in peaks
        if peak.start_time <= time(12, tzinfo=peak.start_time.tzinfo) < peak.end_time
    ] == []


def test_prices_change_at_whole_minutes_only() -> None:
    constraints = [
        price.constraint
        for _, model in _models()
        for price in (*_conditional(model), *(model.price_variants or ()))
    ]

    times = [
        moment
        for constraint in constraints
        if isinstance(constraint, TimeOfDateConstraint)
        for moment in (constraint.start_time, constraint.end_time)
    ]

    assert times != []
    assert [moment for moment in times if moment.second or moment.microsecond] == []


def test_prices_are_decimals_or_tiers_of_decimals() -> None:
    odd = {
        type(value)
        for _, model in _models()
        for price in (*_conditional(model), *(model.price_variants or ()))
        for value in vars(price.prices).values()
        if value is not None
    }

    assert odd == {Decimal, TieredPrices}
