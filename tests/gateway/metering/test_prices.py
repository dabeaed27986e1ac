from decimal import Decimal

import pytest
from msgspec import structs
from tests.gateway.metering.receipts import receipt

from spanmeter.usage import Usage
from spanmeter_gateway.bill import Bill, ClassAmount
from spanmeter_gateway.metering import prices
from spanmeter_gateway.metering.prices import LIST_VERSION, PriceBook, PriceOverride
from spanmeter_gateway.receipt import Attempt

USED = Usage(input_tokens=1000, output_tokens=100)
USED_TOKENS = (ClassAmount("input", 1000), ClassAmount("output", 100))
GPT_4O_MINI_NANOS = 1000 * 150 + 100 * 600  # 0.15 and 0.60 USD per million


def _attempt(model: str) -> Attempt:
    return Attempt(
        span_id="0" * 16,
        upstream="u",
        provider="openai",
        started_at_ns=0,
        duration_ns=1,
        model=model,
    )


def test_bill_names_source_version_and_cost_of_each_class() -> None:
    usage = Usage(
        input_tokens=5000,
        cache_read_tokens=1000,
        cache_write_tokens=2000,
        cache_write_1h_tokens=500,
        output_tokens=300,
        reasoning_tokens=50,
    )

    bill = PriceBook().bill(receipt("anthropic", "claude-haiku-4-5", usage))

    assert bill == Bill(
        tokens=(
            ClassAmount("input", 2000),
            ClassAmount("cache_read", 1000),
            ClassAmount("cache_write", 2000),
            ClassAmount("output", 250),
            ClassAmount("reasoning", 50),
        ),
        cost_nanos=(
            ClassAmount("input", 2_000_000),
            ClassAmount("cache_read", 100_000),
            ClassAmount("cache_write", 1500 * 1250 + 500 * 2000),
            ClassAmount("output", 1_250_000),
            ClassAmount("reasoning", 250_000),
        ),
        source="local",
        price_version="genai-prices 0.2.3",
    )


def test_call_without_usage_has_no_tokens_no_cost_and_no_complaint() -> None:
    assert PriceBook().bill(receipt("openai", "gpt-4o-mini", None)) == Bill()


def test_usage_that_says_nothing_is_like_none() -> None:
    assert PriceBook().bill(receipt("openai", "gpt-4o-mini", Usage())) == Bill()


def test_usage_of_nothing_costs_nothing() -> None:
    bill = PriceBook().bill(
        receipt("openai", "gpt-4o", Usage(input_tokens=0, output_tokens=0, cache_read_tokens=0))
    )

    zeros = (ClassAmount("input", 0), ClassAmount("output", 0))
    assert bill == Bill(tokens=zeros, cost_nanos=zeros, source="local", price_version=LIST_VERSION)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (
            Usage(output_tokens=90, reasoning_tokens=67),
            (ClassAmount("output", 23), ClassAmount("reasoning", 67)),
        ),
        (Usage(input_tokens=90), (ClassAmount("input", 90),)),
        (Usage(cache_read_tokens=9, output_tokens=0), (ClassAmount("cache_read", 9),)),
    ],
)
def test_usage_known_in_part_has_tokens_and_no_cost(
    usage: Usage, tokens: tuple[ClassAmount, ...]
) -> None:
    bill = PriceBook().bill(receipt("gcp.gemini", "gemini-2.5-flash", usage))

    assert bill == Bill(tokens=tokens, unpriced="incomplete_usage")


def test_failed_call_owes_what_the_provider_reported() -> None:
    bill = PriceBook().bill(
        receipt("openai", "gpt-4o-mini", USED, outcome="provider_error", error_type="500")
    )

    assert bill.total_nanos == GPT_4O_MINI_NANOS


@pytest.mark.parametrize(
    "provider", ["ollama", "vllm", "ai21", "my-openai-proxy", "local", "", None]
)
def test_provider_is_not_guessed_from_the_name_of_a_model(provider: str | None) -> None:
    bill = PriceBook().bill(receipt(provider, "gpt-4o-mini", USED))

    assert bill == Bill(tokens=USED_TOKENS, unpriced="unknown_provider")


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "no-such-model"),
        ("openai", None),
        ("openai", "x" * 100_000),
        ("litellm", "gpt-4o-mini"),
        ("azure.ai.openai", "deepseek-r1"),
        ("mistral_ai", "mistral-large-latest"),
        ("perplexity", "sonar-deep-research"),
    ],
)
def test_model_without_a_price_we_trust_is_unknown(provider: str, model: str | None) -> None:
    bill = PriceBook().bill(receipt(provider, model, USED))

    assert bill == Bill(tokens=USED_TOKENS, unpriced="unknown_model")


@pytest.mark.parametrize(
    ("provider", "model"),
    [("openai", "whisper-1"), ("cerebras", "qwen-3-coder-480b"), ("groq", "whisper-large-v3")],
)
def test_listed_model_without_a_price_per_token_is_not_free(provider: str, model: str) -> None:
    bill = PriceBook().bill(receipt(provider, model, USED))

    assert bill == Bill(tokens=USED_TOKENS, unpriced="no_token_price")


def test_model_that_is_free_of_charge_costs_zero() -> None:
    assert PriceBook().bill(receipt("gcp.gemini", "gemma-3-27b-it", USED)).total_nanos == 0


@pytest.mark.parametrize(
    ("answered", "sent", "nanos"),
    [
        pytest.param("gpt-4o-mini-2024-07-18", "gpt-4o", GPT_4O_MINI_NANOS, id="the answer says"),
        pytest.param("davinci:2023-07-21-v2", "davinci-002", 1100 * 2000, id="unlisted answer"),
        pytest.param(None, "gpt-4o-mini", GPT_4O_MINI_NANOS, id="no answer"),
        pytest.param("gpt-4o", "gpt-4o-mini", 1000 * 2500 + 100 * 10_000, id="not the longer name"),
    ],
)
def test_model_is_the_one_that_answered_or_else_the_one_that_was_sent(
    answered: str | None, sent: str, nanos: int
) -> None:
    call = receipt("openai", sent, USED, response_model=answered)

    assert PriceBook().bill(call).total_nanos == nanos


def test_rewritten_model_is_priced_as_sent_and_not_as_asked() -> None:
    call = receipt(
        "openai", "gpt-4o", USED, response_model=None, attempts=(_attempt("gpt-4o-mini"),)
    )

    assert PriceBook().bill(call).total_nanos == GPT_4O_MINI_NANOS


def test_azure_deployment_name_never_beats_the_answer() -> None:
    call = receipt("azure.ai.openai", "gpt-4o-mini", USED, response_model="gpt-4o")

    assert PriceBook().bill(call).total_nanos == 1000 * 2500 + 100 * 10_000


def test_litellm_model_is_priced_by_the_provider_in_its_name() -> None:
    call = receipt("litellm", "openai/gpt-4o-mini", USED, response_model="gpt-4o-mini")

    assert PriceBook().bill(call).total_nanos == GPT_4O_MINI_NANOS


@pytest.mark.parametrize(
    ("reported", "upstream", "nanos"),
    [
        ("0.001076", None, 1_076_000),
        ("3.6e-05", None, 36_000),
        ("0", "0.0041705", 4_170_500),
        ("0.0000000005", None, 0),
        ("0.0000000015", None, 2),
        ("0", None, 0),
    ],
)
def test_cost_that_the_provider_reported_wins(
    reported: str, upstream: str | None, nanos: int
) -> None:
    call = receipt(
        "openrouter",
        "openai/gpt-4o-mini",
        USED,
        reported_cost_usd=reported,
        upstream_cost_usd=upstream,
    )

    bill = PriceBook().bill(call)

    assert bill == Bill(
        tokens=USED_TOKENS, cost_nanos=(ClassAmount("total", nanos),), source="provider"
    )


def test_reported_cost_stands_without_usage_or_known_provider() -> None:
    bill = PriceBook().bill(receipt("anyone", None, None, reported_cost_usd="0.01"))

    assert bill == Bill(cost_nanos=(ClassAmount("total", 10_000_000),), source="provider")


@pytest.mark.parametrize(
    "text", ["", "free", "-1", "NaN", "Infinity", "1e999999999", "1e-x", "0x1"]
)
def test_reported_cost_that_is_no_money_is_passed_over(text: str) -> None:
    bill = PriceBook().bill(receipt("openai", "gpt-4o-mini", USED, reported_cost_usd=text))

    assert (bill.source, bill.total_nanos) == ("local", GPT_4O_MINI_NANOS)


def test_price_of_the_calls_own_day_holds() -> None:
    book = PriceBook()
    before, after = (
        book.bill(receipt("gcp.gemini", "gemini-3.7-flash", USED, at=at)).total_nanos
        for at in ("2026-12-31T23:59:59+00:00", "2027-01-01T00:00:00+00:00")
    )

    assert (before, after) == (1000 * 750 + 100 * 3750, 1000 * 1500 + 100 * 7500)


def test_prices_by_the_hour_follow_calls_that_arrive_out_of_order() -> None:
    book = PriceBook()

    costs = [
        book.bill(
            receipt("deepseek", "deepseek-flash", USED, at=f"2026-11-18T{at}+00:00")
        ).total_nanos
        for at in ("03:59:59", "04:00:00", "03:59:59", "00:59:59", "01:00:00")
    ]

    peak, off_peak = 1000 * 300 + 100 * 1200, 1000 * 150 + 100 * 600
    assert costs == [peak, off_peak, peak, off_peak, peak]


@pytest.mark.parametrize("at_ns", [-(10**30), 0, 10**30])
def test_absurd_clock_does_not_stop_billing(at_ns: int) -> None:
    call = structs.replace(receipt("deepseek", "deepseek-flash", USED), started_at_ns=at_ns)

    assert PriceBook().bill(call).total_nanos is not None


@pytest.mark.parametrize("tier", ["default", "standard", "on_demand", "scale", "auto", "odd", None])
def test_unpriced_service_tier_costs_the_standard_price(tier: str | None) -> None:
    bill = PriceBook().bill(receipt("openai", "gpt-4o-mini", USED, service_tier=tier))

    assert bill.total_nanos == GPT_4O_MINI_NANOS


@pytest.mark.parametrize(
    ("provider", "model", "tier"),
    [
        pytest.param("azure.ai.openai", "gpt-4o-mini", "priority", id="borrowed prices"),
        pytest.param("gcp.gemini", "gemini-2.5-flash", "flex", id="not in the list"),
        pytest.param("anthropic", "claude-haiku-4-5", "priority", id="paid by commitment"),
    ],
)
def test_tier_whose_price_is_unknown_has_no_cost(provider: str, model: str, tier: str) -> None:
    bill = PriceBook().bill(receipt(provider, model, USED, service_tier=tier))

    assert bill == Bill(tokens=USED_TOKENS, unpriced="unknown_tier")


def test_groq_flex_costs_the_standard_price() -> None:
    bill = PriceBook().bill(receipt("groq", "llama-3.1-8b-instant", USED, service_tier="flex"))

    assert bill.total_nanos == 1000 * 50 + 100 * 80


def test_batch_costs_half() -> None:
    bill = PriceBook().bill(receipt("anthropic", "claude-haiku-4-5", USED, service_tier="batch"))

    assert bill.total_nanos == (1000 * 1000 + 100 * 5000) // 2


def test_cache_of_models_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices, "CACHE_ENTRIES", 3)
    book = PriceBook(
        [PriceOverride(model="*", input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(1))]
    )

    totals = {book.bill(receipt("own", f"m{number}", USED)).total_nanos for number in range(20)}

    assert (len(book._tariffs), totals) == (3, {1_100_000})


def test_long_names_share_one_entry_of_the_cache() -> None:
    book = PriceBook()

    for number in range(5):
        book.bill(receipt("openai", "x" * (1000 + number), USED))

    assert len(book._tariffs) == 1
