"""Every recorded exchange is priced, or there is a stated reason why not."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.gateway.metering.receipts import receipt

from spanmeter.usage import Usage
from spanmeter_gateway.bill import Bill
from spanmeter_gateway.metering.prices import PriceBook

RECORDINGS = Path(__file__).parents[2] / "recordings"

UNPRICED = {
    "azure-openai/stream-deepseek-r1": "unknown_model",  # Azure's own price is in no list
    "gemini/stream-sse-no-prompt-token-count": "incomplete_usage",  # no input was reported
    "openai-compatible/ai21-stream-crlf": "unknown_provider",  # AI21 is in no list
    "openai-compatible/cerebras-stream-emoji": "unknown_model",  # no longer listed
    "openai-compatible/litellm-proxy-stream": "unknown_model",  # no provider in the model's name
    "openai-compatible/mistral-stream-usage-unasked": "unknown_model",  # a moving alias
    "openai-compatible/ollama-basic-zero-prompt-tokens": "unknown_provider",  # one's own machine
}


def _bill(expected: dict[str, Any]) -> Bill:
    counts = {
        name: expected[name] for name in Usage.__struct_fields__ if expected.get(name) is not None
    }
    reported = expected.get("reported_cost_usd")
    return PriceBook().bill(
        receipt(
            expected["provider"],
            expected["request_model"],
            Usage(**counts) if counts else None,
            response_model=expected["response_model"],
            operation=expected["operation"],
            reported_cost_usd=None if reported is None else str(reported),
        )
    )


def _outcome(bill: Bill) -> str:
    return bill.unpriced or bill.source or "no usage"


def _bills() -> dict[str, Bill]:
    loaded = (
        json.loads(path.read_text(encoding="utf-8")) for path in sorted(RECORDINGS.glob("*/*.json"))
    )
    return {recording["id"]: _bill(recording["expected"]) for recording in loaded}


def test_every_recording_is_priced_or_says_why_not() -> None:
    bills = _bills()

    unpriced = {name: bill.unpriced for name, bill in bills.items() if bill.unpriced}

    assert unpriced == UNPRICED


def test_recordings_are_counted_by_how_they_were_priced() -> None:
    counted = Counter(_outcome(bill) for bill in _bills().values())

    assert counted == {
        "local": 101,
        "provider": 4,
        "no usage": 38,
        "unknown_model": 4,
        "unknown_provider": 2,
        "incomplete_usage": 1,
    }


def test_recording_without_usage_has_no_bill() -> None:
    empty = [bill for bill in _bills().values() if _outcome(bill) == "no usage"]

    assert empty == [Bill()] * len(empty)
