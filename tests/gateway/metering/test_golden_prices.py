"""Bills against published prices, row by row, to the nano-dollar.

`golden_prices.json` states the prices of the providers' own pages (`source`, as they stood in
`as_of`; some read in public copies of that date), not those of the list that the gateway uses. A
row has tokens and USD per million for each class, and the total that they make. A class with two
lines has kinds at two prices, such as text and audio; it is rounded once.
"""

import json
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.metering.receipts import WEDNESDAY_NOON, receipt

from spanmeter.usage import Usage
from spanmeter_gateway.bill import Bill, ClassAmount
from spanmeter_gateway.metering.prices import LIST_VERSION, PriceBook

ROWS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "golden_prices.json").read_text(encoding="utf-8")
)
BOOK = PriceBook()


def _expected_classes(row: dict[str, Any]) -> tuple[ClassAmount, ...]:
    usd: dict[Any, Fraction] = defaultdict(Fraction)
    for token_class, tokens, usd_per_mtok in row["usd_per_mtok"]:
        usd[token_class] += tokens * Fraction(usd_per_mtok) / 1_000_000
    usd["total"] += Fraction(row.get("usd_per_call", 0))
    # `round` of a fraction goes to the even neighbour at a tie.
    return tuple(ClassAmount(name, round(due * 10**9)) for name, due in usd.items() if due)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_row_adds_up_by_itself(row: dict[str, Any]) -> None:
    total = sum(amount for _, amount in _expected_classes(row))

    assert total == row["nanos"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_bill_equals_the_published_price(row: dict[str, Any]) -> None:
    call = receipt(
        row["provider"],
        row["model"],
        Usage(**row["usage"]),
        at=row.get("at", WEDNESDAY_NOON),
        request_model=row.get("asked", row["model"]),
        operation=row.get("operation", "chat"),
        service_tier=row.get("service_tier"),
    )

    bill = BOOK.bill(call)

    assert bill == Bill(
        tokens=bill.tokens,
        cost_nanos=_expected_classes(row),
        source="local",
        price_version=LIST_VERSION,
    )
    assert bill.total_nanos == row["nanos"]


def test_every_row_names_its_source_and_its_date() -> None:
    unsourced = [
        row["name"]
        for row in ROWS
        if not row["source"].startswith("https://") or not row["as_of"].startswith("202")
    ]

    assert unsourced == []


def test_the_table_covers_the_providers_and_their_ways_of_charging() -> None:
    providers = {row["provider"] for row in ROWS}
    counted = {name for row in ROWS for name in row["usage"]}

    assert len(ROWS) >= 45
    assert providers >= {
        "anthropic", "aws.bedrock", "azure.ai.inference", "azure.ai.openai", "cerebras", "cohere",
        "deepseek", "gcp.gemini", "gcp.vertex_ai", "groq", "mistral_ai", "moonshot_ai", "openai",
        "perplexity", "x_ai", "zai",
    }  # fmt: skip
    assert counted >= {
        "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens",
        "cache_write_1h_tokens", "reasoning_tokens", "input_audio_tokens", "output_audio_tokens",
        "cache_read_audio_tokens", "output_image_tokens",
    }  # fmt: skip
