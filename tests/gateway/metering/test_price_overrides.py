from decimal import Decimal

import pytest
from tests.gateway.metering.receipts import receipt

from spanmeter.usage import Usage
from spanmeter_gateway.bill import Bill, ClassAmount
from spanmeter_gateway.metering.overrides import PriceOverride
from spanmeter_gateway.metering.prices import PriceBook

USED = Usage(input_tokens=1000, output_tokens=100)


def _at(usd: str, model: str, provider: str | None = None) -> PriceOverride:
    return PriceOverride(
        provider=provider,
        model=model,
        input_usd_per_mtok=Decimal(usd),
        output_usd_per_mtok=Decimal(0),
    )


def _usd_per_mtok(book: PriceBook, provider: str, model: str) -> Decimal:
    nanos = book.bill(receipt(provider, model, USED)).total_nanos
    assert nanos is not None
    return Decimal(nanos) / 1_000_000


def test_override_wins_over_the_list_and_says_so() -> None:
    book = PriceBook([_at("7", "gpt-4o-mini", "openai")])

    bill = book.bill(receipt("openai", "gpt-4o-mini", USED))

    assert bill == Bill(
        tokens=(ClassAmount("input", 1000), ClassAmount("output", 100)),
        cost_nanos=(ClassAmount("input", 7_000_000), ClassAmount("output", 0)),
        source="local",
        price_version="config",
    )


def test_override_of_the_name_that_was_sent_wins_over_the_listed_answer() -> None:
    book = PriceBook([_at("7", "my-deployment")])
    call = receipt("azure.ai.openai", "my-deployment", USED, response_model="gpt-4o-mini")

    assert book.bill(call).price_version == "config"


def test_own_model_of_an_own_provider_is_priced() -> None:
    book = PriceBook([_at("7", "llama3", "ollama")])

    assert _usd_per_mtok(book, "ollama", "llama3") == 7


def test_override_of_another_provider_does_not_apply() -> None:
    book = PriceBook([_at("7", "llama3", "ollama")])

    assert book.bill(receipt("vllm", "llama3", USED)).unpriced == "unknown_provider"


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param([_at("7", "gpt-4o"), _at("1", "gpt-4*")], id="exact before prefix"),
        pytest.param([_at("7", "gpt-4*"), _at("1", "gpt*")], id="longer before shorter prefix"),
        pytest.param([_at("7", "gpt-4o", "openai"), _at("1", "gpt-4o")], id="named before any"),
        pytest.param([_at("1", "gpt-4o"), _at("7", "gpt-4o")], id="the last of equals"),
        pytest.param([_at("7", "GPT-4O")], id="upper case"),
        pytest.param([_at("7", "*")], id="everything"),
    ],
)
def test_the_override_that_says_most_answers(overrides: list[PriceOverride]) -> None:
    assert _usd_per_mtok(PriceBook(overrides), "openai", "gpt-4o") == 7


def test_every_price_of_an_override_is_used() -> None:
    override = PriceOverride(
        model="m",
        input_usd_per_mtok=Decimal(1),
        output_usd_per_mtok=Decimal(2),
        cache_read_usd_per_mtok=Decimal(3),
        cache_write_usd_per_mtok=Decimal(4),
        cache_write_1h_usd_per_mtok=Decimal(5),
        reasoning_usd_per_mtok=Decimal(6),
        input_audio_usd_per_mtok=Decimal(7),
        cache_read_audio_usd_per_mtok=Decimal(8),
        output_audio_usd_per_mtok=Decimal(9),
        request_usd=Decimal("0.5"),
    )
    usage = Usage(
        input_tokens=1000,
        input_audio_tokens=150,
        cache_read_tokens=200,
        cache_read_audio_tokens=50,
        cache_write_tokens=300,
        cache_write_1h_tokens=100,
        output_tokens=1000,
        output_audio_tokens=100,
        reasoning_tokens=400,
    )

    bill = PriceBook([override]).bill(receipt("own", "m", usage))

    assert bill.cost_nanos == (
        ClassAmount("input", (400 * 1 + 100 * 7) * 1000),
        ClassAmount("cache_read", (150 * 3 + 50 * 8) * 1000),
        ClassAmount("cache_write", (200 * 4 + 100 * 5) * 1000),
        ClassAmount("output", (500 * 2 + 100 * 9) * 1000),
        ClassAmount("reasoning", 400 * 6 * 1000),
        ClassAmount("total", 500_000_000),
    )


def test_price_left_out_is_that_of_the_wider_kind() -> None:
    override = PriceOverride(
        model="m", input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(2)
    )
    usage = Usage(
        input_tokens=1000,
        input_audio_tokens=150,
        cache_read_tokens=200,
        cache_write_tokens=300,
        cache_write_1h_tokens=100,
        output_tokens=1000,
        output_audio_tokens=100,
        reasoning_tokens=400,
    )

    assert PriceBook([override]).bill(receipt("own", "m", usage)).total_nanos == 3_000_000


def test_price_finer_than_a_nano_dollar_is_rounded_once_per_class() -> None:
    override = PriceOverride(
        model="m", input_usd_per_mtok=Decimal("0.0001"), output_usd_per_mtok=Decimal(1) / 3
    )

    bill = PriceBook([override]).bill(
        receipt("own", "m", Usage(input_tokens=15, output_tokens=3_000_000))
    )

    assert bill.cost_nanos == (ClassAmount("input", 2), ClassAmount("output", 1_000_000_000))


@pytest.mark.parametrize("usd", ["-0.01", "NaN", "Infinity", "-Infinity"])
def test_what_is_not_a_price_is_refused(usd: str) -> None:
    with pytest.raises(ValueError, match="input_usd_per_mtok must be a finite number"):
        _at(usd, "m")
