"""How each provider counts, and that nothing is counted that was not said."""

import json
from typing import Any

import pytest

from spanmeter.dialects.dialect import ResponseFacts
from spanmeter.dialects.registry import recognise
from spanmeter.usage import Usage

CHAT = "/v1/chat/completions"
EMBEDDINGS = "/v1/embeddings"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
GEMINI = "/v1beta/models/m:generateContent"
USAGE_MEMBER = {
    CHAT: "usage",
    EMBEDDINGS: "usage",
    RESPONSES: "usage",
    MESSAGES: "usage",
    GEMINI: "usageMetadata",
}


def answer(path: str, body: Any) -> ResponseFacts:
    dialect = recognise("POST", path)
    assert dialect is not None
    tally = dialect.tally(status=200, content_type="application/json", stream=False)
    tally.feed(json.dumps(body).encode())
    return tally.close()


def usage(path: str, counts: Any) -> Usage | None:
    return answer(path, {USAGE_MEMBER[path]: counts}).usage


CHAT_TOTALS = {"prompt_tokens": 10, "completion_tokens": 5}


@pytest.mark.parametrize(
    ("more", "usage_more"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 4}}, {"cache_read_tokens": 4}),
        ({"prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 6}, {"cache_read_tokens": 4}),
        ({"cached_tokens": 4}, {"cache_read_tokens": 4}),
        ({"prompt_tokens_details": {"cache_write_tokens": 3}}, {"cache_write_tokens": 3}),
        ({"cache_creation_input_tokens": 3}, {"cache_write_tokens": 3}),
        ({"completion_tokens_details": {"reasoning_tokens": 2}}, {"reasoning_tokens": 2}),
        ({"reasoning_tokens": 2}, {"reasoning_tokens": 2}),
        (
            {"prompt_tokens_details": {"audio_tokens": 1, "text_tokens": 2, "image_tokens": 3}},
            {"input_audio_tokens": 1, "input_text_tokens": 2, "input_image_tokens": 3},
        ),
        (
            {"completion_tokens_details": {"audio_tokens": 1, "text_tokens": 2, "image_tokens": 3}},
            {"output_audio_tokens": 1, "output_text_tokens": 2, "output_image_tokens": 3},
        ),
        ({"prompt_tokens_details": None, "completion_tokens_details": [1]}, {}),
    ],
)
def test_parts_of_a_chat_usage(more: dict[str, Any], usage_more: dict[str, int]) -> None:
    expected = Usage(input_tokens=10, output_tokens=5, **usage_more)

    assert usage(CHAT, CHAT_TOTALS | more) == expected


@pytest.mark.parametrize(
    ("whole", "output_tokens"), [(35, 25), (15, 5), (34, 5), (None, 5), ("35", 5)]
)
def test_reasoning_is_added_only_where_the_total_says_that_it_stands_beside(
    whole: Any, output_tokens: int
) -> None:
    counts = CHAT_TOTALS | {
        "total_tokens": whole,
        "completion_tokens_details": {"reasoning_tokens": 20},
    }

    assert usage(CHAT, counts) == Usage(
        input_tokens=10, output_tokens=output_tokens, reasoning_tokens=20
    )


def test_an_embedding_has_no_output() -> None:
    assert usage(EMBEDDINGS, CHAT_TOTALS) == Usage(input_tokens=10)


def test_a_full_anthropic_usage() -> None:
    counts = {
        "input_tokens": 1,
        "cache_read_input_tokens": 10,
        "cache_creation_input_tokens": 100,
        "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 70},
        "output_tokens": 5,
        "output_tokens_details": {"thinking_tokens": 2},
    }

    assert usage(MESSAGES, counts) == Usage(
        input_tokens=111,
        output_tokens=5,
        cache_read_tokens=10,
        cache_write_tokens=100,
        cache_write_5m_tokens=30,
        cache_write_1h_tokens=70,
        reasoning_tokens=2,
    )


def test_an_anthropic_usage_that_only_splits_the_cache_writes() -> None:
    counts = {"input_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 70}}

    assert usage(MESSAGES, counts) == Usage(
        input_tokens=71, cache_write_tokens=70, cache_write_1h_tokens=70
    )


def test_a_full_gemini_usage() -> None:
    counts = {
        "promptTokenCount": 100,
        "toolUsePromptTokenCount": 10,
        "candidatesTokenCount": 7,
        "thoughtsTokenCount": 5,
        "cachedContentTokenCount": 50,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 60},
            {"modality": "AUDIO", "tokenCount": 20},
            {"modality": 2, "tokenCount": 20},
            {"modality": "VIDEO", "tokenCount": 9},
            {"modality": 99, "tokenCount": 9},
            "junk",
        ],
        "toolUsePromptTokensDetails": [{"modality": 1, "tokenCount": 10}],
        "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 8}],
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 7}],
    }

    assert usage(GEMINI, counts) == Usage(
        input_tokens=110,
        output_tokens=12,
        cache_read_tokens=50,
        reasoning_tokens=5,
        input_text_tokens=70,
        input_audio_tokens=20,
        input_image_tokens=20,
        cache_read_audio_tokens=8,
        output_image_tokens=7,
    )


def test_a_gemini_usage_that_was_only_thought_is_output() -> None:
    assert usage(GEMINI, {"promptTokenCount": 1, "thoughtsTokenCount": 5}) == Usage(
        input_tokens=1, output_tokens=5, reasoning_tokens=5
    )


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (CHAT, ("prompt_tokens", "completion_tokens")),
        (RESPONSES, ("input_tokens", "output_tokens")),
        (MESSAGES, ("input_tokens", "output_tokens")),
        (GEMINI, ("promptTokenCount", "candidatesTokenCount")),
    ],
)
@pytest.mark.parametrize(
    "value", ["12", 12.5, 12.0, -1, None, True, [12], {"tokens": 12}, 2**60, 10**40], ids=repr
)
def test_what_is_no_count_is_not_counted(path: str, names: tuple[str, str], value: Any) -> None:
    first, second = names

    assert usage(path, {first: value, second: value}) is None
    assert usage(path, {first: value, second: 3}) == Usage(output_tokens=3)
    assert usage(path, {first: 3, second: value}) == Usage(input_tokens=3)


@pytest.mark.parametrize("path", USAGE_MEMBER)
@pytest.mark.parametrize("counts", [None, [], {}, "usage", 3, False, [{"prompt_tokens": 3}]])
def test_a_usage_of_the_wrong_type_is_none(path: str, counts: Any) -> None:
    facts = answer(path, {"id": "x", "model": "m", USAGE_MEMBER[path]: counts})

    assert (facts.usage, facts.unread, facts.is_error) == (None, None, False)


@pytest.mark.parametrize(
    ("counts", "reported", "upstream"),
    [
        ({"cost": 0.00417}, "0.00417", None),
        ({"cost": 3.6e-05}, "0.000036", None),
        ({"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.004}},
         "0", "0.004"),
        ({"cost": 2, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.004}},
         "2", None),
        ({"cost": 2, "is_byok": True, "cost_details": {"upstream_inference_cost": None}},
         "2", None),
        ({"cost": {"total_cost": 0.006, "request_cost": 0.005}}, "0.006", None),
        ({"cost": "0.1"}, None, None),
        ({"cost": -1}, None, None),
        ({"cost": True}, None, None),
        ({"cost": [1]}, None, None),
        ({}, None, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", [CHAT, RESPONSES])
def test_costs_are_decimal_text(
    path: str, counts: dict[str, Any], reported: str | None, upstream: str | None
) -> None:
    facts = answer(path, {"usage": counts})

    assert (facts.reported_cost_usd, facts.upstream_cost_usd) == (reported, upstream)
