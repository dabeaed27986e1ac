from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.metering.receipts import receipt

from spanmeter.usage import Usage
from spanmeter_gateway.metering.classes import divide
from spanmeter_gateway.metering.prices import PriceBook

BOOK = PriceBook()
MODELS = [
    ("openai", "gpt-4o-mini"),
    ("openai", "gpt-audio"),
    ("openai", "gpt-5.4"),
    ("anthropic", "claude-sonnet-4-5"),
    ("gcp.gemini", "gemini-2.5-pro"),
    ("gcp.gemini", "gemini-2.5-flash"),
    ("gcp.gemini", "gemini-2.5-flash-image"),
    ("deepseek", "deepseek-v4-pro"),
    ("perplexity", "sonar"),
    ("nobody", "nothing"),
]
ANY_COUNT = st.none() | st.integers(-(10**6), 10**6) | st.integers(-(10**30), 10**30)
ANY_USAGE = st.builds(Usage, **{name: ANY_COUNT for name in Usage.__struct_fields__})


@st.composite
def consistent(draw: st.DrawFn) -> Usage:
    """Build a usage whose parts fit into their totals, as providers mean it."""
    counts: dict[str, int] = {}

    def part(name: str, of: int) -> int:
        counts[name] = draw(st.integers(0, of))
        return counts[name]

    total, output = part("input_tokens", 400_000), part("output_tokens", 100_000)
    read = part("cache_read_tokens", total)
    write = part("cache_write_tokens", total - read)
    part("cache_write_1h_tokens", write)
    heard_again = part("cache_read_audio_tokens", read)
    counts["input_audio_tokens"] = heard_again + draw(st.integers(0, total - read - write))
    part("output_audio_tokens", output - part("reasoning_tokens", output))
    return Usage(**counts)


def _more(usage: Usage, name: str, by: int) -> Usage:
    fields: Mapping[str, int | None] = {
        field: getattr(usage, field) for field in usage.__struct_fields__
    }
    return Usage(**{**fields, name: (getattr(usage, name) or 0) + by})


@pytest.mark.parametrize(("provider", "model"), MODELS)
@given(usage=ANY_USAGE)
@settings(max_examples=150)
def test_no_usage_raises_or_is_billed_below_zero(provider: str, model: str, usage: Usage) -> None:
    bill = BOOK.bill(receipt(provider, model, usage))

    amounts = [*bill.tokens, *(bill.cost_nanos or ())]
    assert [amount for amount in amounts if amount.amount < 0] == []


@given(usage=ANY_USAGE)
@settings(max_examples=400)
def test_classes_add_up_to_the_totals_however_odd_the_parts(usage: Usage) -> None:
    classes: dict[str, int] = dict(divide(usage))

    sides = (
        (usage.input_tokens, ("input", "cache_read", "cache_write")),
        (usage.output_tokens, ("output", "reasoning")),
    )
    wrong = [
        total
        for total, names in sides
        if total is not None and sum(classes.get(name, 0) for name in names) != max(total, 0)
    ]
    assert wrong == []


@pytest.mark.parametrize(("provider", "model"), MODELS[:-1])
@given(usage=consistent())
@settings(max_examples=60)
def test_costs_are_of_the_classes_that_have_tokens(provider: str, model: str, usage: Usage) -> None:
    bill = BOOK.bill(receipt(provider, model, usage))

    costed = [name for name, _ in bill.cost_nanos or () if name != "total"]
    assert costed == [name for name, _ in bill.tokens]


@pytest.mark.parametrize(("provider", "model"), MODELS[:-1])
@given(usage=consistent(), by=st.integers(1, 300_000))
@settings(max_examples=60)
def test_more_tokens_never_cost_less(provider: str, model: str, usage: Usage, by: int) -> None:
    cost, more_input, more_output = (
        BOOK.bill(receipt(provider, model, grown)).total_nanos or 0
        for grown in (
            usage,
            _more(usage, "input_tokens", by),
            _more(usage, "output_tokens", by),
        )
    )

    assert cost <= more_input
    assert cost <= more_output
