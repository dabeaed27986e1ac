"""Every recording's call is metered as its independently computed truth says: spans and metrics.

`tests/recordings/README.md` defines the expected values and which answers to accept.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from tests.fakes.otlp_sink import OtlpSink, SinkSpan
from tests.fakes.recordings import Recording, all_recordings
from tests.gateway_process import GatewayProcess, Metrics
from tests.recordings_replay.conftest import Report
from tests.recordings_replay.through import Caller, How

TOKENS = {
    "gen_ai.usage.input_tokens": "input_tokens",
    "gen_ai.usage.output_tokens": "output_tokens",
    "gen_ai.usage.cache_read.input_tokens": "cache_read_tokens",
    "gen_ai.usage.cache_write.input_tokens": "cache_write_tokens",
    "gen_ai.usage.reasoning.output_tokens": "reasoning_tokens",
}
TOTALS = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")


@pytest.fixture(scope="module")
def metrics(gateway: GatewayProcess, caller: Caller) -> Metrics:
    """Play every recording once, in pieces, and wait until each is counted."""
    caller.play_all(all_recordings(), How("random:7", "gzip"))
    return gateway.wait_metrics(lambda seen: seen.total("spanmeter_calls_total") >= 150)


@pytest.fixture(scope="module")
def span_by_feature(metrics: Metrics, sink: OtlpSink) -> Mapping[str, SinkSpan]:
    sink.wait(lambda spans: sum(span.kind == "CLIENT" for span in spans) >= 150)
    return sink.client_spans()


def wrong_tokens(played: Recording, span: SinkSpan) -> list[str]:
    return [
        f"{name} {span.attributes.get(name)} instead of {played.expected[key]}"
        for name, key in TOKENS.items()
        if not is_same_count(span.attributes.get(name), played.expected[key], name)
    ]


def is_same_count(seen: Any, expected: int | None, name: str) -> bool:
    # A part that the answer does not state may be left out or be 0; a total must not be invented.
    if expected is None:
        return seen is None or (seen == 0 and name not in TOTALS)
    return bool(seen == expected) or (seen is None and expected == 0 and name not in TOTALS)


def wrong_facts(played: Recording, span: SinkSpan) -> list[str]:
    expected, seen = played.expected, span.attributes
    accepted = {expected["provider"], *expected.get("provider_accept", ())}
    checks = {
        "provider": seen["gen_ai.provider.name"] in accepted or "*" in accepted,
        "operation": seen["gen_ai.operation.name"] == expected["operation"],
        "request model": seen.get("gen_ai.request.model") == expected["request_model"],
        "response model": seen.get("gen_ai.response.model") == expected["response_model"],
        "finish reasons": has_right_reasons(expected["finish_reasons"], seen),
        "error type": seen.get("error.type") in accepted_errors(played),
        "status": span.status == ("UNSET" if seen.get("error.type") is None else "ERROR"),
        "stream": seen.get("gen_ai.request.stream", False) == expected["stream"],
    }
    return [f"{name}: {dict(seen)}" for name, is_right in checks.items() if not is_right]


def has_right_reasons(expected: list[Any] | None, seen: Mapping[str, Any]) -> bool:
    if expected is None:
        return True
    # The convention puts `error` where a reason was expected and never came.
    reasons = seen.get("gen_ai.response.finish_reasons", ())
    said = tuple(reason for reason in reasons if reason != "error")
    return said == tuple(str(reason) for reason in expected if reason is not None)


def accepted_errors(played: Recording) -> tuple[str | None, ...]:
    if played.is_aborted:
        return ("stream_interrupted",)
    if played.expected["error_type"] is None:
        return (None,)
    return (str(played.expected["error_type"]), str(played.expected["http_status"]))


def test_tokens_on_spans_are_the_recorded_ones(
    span_by_feature: Mapping[str, SinkSpan], report: Report
) -> None:
    wrong = {
        played.id: found
        for played in all_recordings()
        if (found := wrong_tokens(played, span_by_feature[played.id]))
    }

    report(f"tokens on spans: {150 - len(wrong)} of 150 as recorded")
    assert wrong == {}
    assert len(span_by_feature) == 150


def test_facts_on_spans_are_the_recorded_ones(
    span_by_feature: Mapping[str, SinkSpan], report: Report
) -> None:
    wrong = {
        played.id: found
        for played in all_recordings()
        if (found := wrong_facts(played, span_by_feature[played.id]))
    }

    report(f"facts on spans: {150 - len(wrong)} of 150 as recorded")
    assert wrong == {}


def test_each_call_is_counted_once(metrics: Metrics) -> None:
    by_operation = metrics.by("spanmeter_calls_total", "gen_ai_operation_name")

    assert by_operation == Counter(played.expected["operation"] for played in all_recordings())


def test_tokens_on_metrics_add_up_to_the_recorded_ones(metrics: Metrics) -> None:
    by_class = metrics.by("spanmeter_tokens_total", "spanmeter_token_class")

    assert by_class == expected_tokens_by_class()


def test_calls_without_usage_are_counted_as_unmetered(metrics: Metrics) -> None:
    answered_without = [
        played.id
        for played in all_recordings()
        if played.status == 200
        and played.expected["error_type"] is None
        and played.expected["input_tokens"] is None
        and played.expected["output_tokens"] is None
    ]

    assert metrics.total("spanmeter_unmetered_calls_total") == len(answered_without)


def expected_tokens_by_class() -> dict[str, float]:
    sums: Counter[str] = Counter()
    for played in all_recordings():
        expected = played.expected
        total = expected["input_tokens"] or 0
        read = expected["cache_read_tokens"] or 0
        write = expected["cache_write_tokens"] or 0
        generated = expected["output_tokens"] or 0
        # One recording reports more reasoning than output: what is over was not billed as output.
        reasoning = min(expected["reasoning_tokens"] or 0, generated)
        sums["input"] += total - read - write
        sums["cache_read"] += read
        sums["cache_write"] += write
        sums["output"] += generated - reasoning
        sums["reasoning"] += reasoning
    return dict(sums)
