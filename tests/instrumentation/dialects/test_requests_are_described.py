"""What is read of a request, and what is refused."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanmeter.dialects.dialect import RequestFacts
from spanmeter.dialects.registry import recognise
from spanmeter.errors import UnreadableBody

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
GEMINI = "/v1beta/models/gemini-2.5-flash:generateContent"
GEMINI_STREAM = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"
GEMINI_EMBED = "/v1beta/models/gemini-embedding-001:embedContent"
PATHS = [CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, MESSAGES, GEMINI, GEMINI_STREAM, GEMINI_EMBED]

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def describe_bytes(body: bytes, path: str = CHAT) -> RequestFacts:
    dialect = recognise("POST", path)
    assert dialect is not None
    return dialect.describe(body, path)


def describe(body: Any, path: str = CHAT) -> RequestFacts:
    return describe_bytes(json.dumps(body).encode(), path)


def test_a_full_chat_request() -> None:
    facts = describe(
        {
            "model": "gpt-4o",
            "messages": [{"role": "user", "content": "secret"}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "tags": ["team=a"],
            "max_tokens": 5,
            "max_completion_tokens": 10,
            "temperature": 0.5,
            "top_p": 1,
            "top_k": 40.0,
            "frequency_penalty": -0.5,
            "presence_penalty": 0,
            "seed": 7,
            "n": 2,
            "reasoning_effort": "low",
            "service_tier": "flex",
            "response_format": {"type": "json_schema", "json_schema": {"name": "secret"}},
        }
    )

    assert facts == RequestFacts(
        model="gpt-4o",
        stream=True,
        asks_for_usage=True,
        tags=["team=a"],
        has_tags=True,
        has_stream_options=True,
        parameters={
            "max_tokens": 10,
            "temperature": 0.5,
            "top_p": 1,
            "top_k": 40,
            "frequency_penalty": -0.5,
            "presence_penalty": 0,
            "seed": 7,
            "choice_count": 2,
            "reasoning_level": "low",
            "service_tier": "flex",
            "output_type": "json",
        },
    )


def test_a_full_responses_request() -> None:
    facts = describe(
        {
            "model": "gpt-5",
            "input": "secret",
            "max_output_tokens": 100,
            "reasoning": {"effort": "high", "summary": "auto"},
            "text": {"format": {"type": "text"}},
            "previous_response_id": "resp_1",
            "conversation": {"id": "conv_1"},
            "prompt": {"id": "pmpt_1", "version": "2", "variables": {"city": "secret"}},
            "temperature": 1,
        },
        RESPONSES,
    )

    assert facts == RequestFacts(
        model="gpt-5",
        parameters={
            "max_tokens": 100,
            "reasoning_level": "high",
            "output_type": "text",
            "previous_response_id": "resp_1",
            "conversation_id": "conv_1",
            "prompt_name": "pmpt_1",
            "prompt_version": "2",
            "temperature": 1,
        },
    )


def test_a_conversation_may_be_named_by_its_id_alone() -> None:
    facts = describe({"model": "gpt-5", "conversation": "conv_1"}, RESPONSES)

    assert facts.parameters == {"conversation_id": "conv_1"}


@pytest.mark.parametrize("prose", ["a secret prompt", "ein geheimer\tText", "秘密", "x" * 257])
def test_prose_where_an_id_or_a_level_belongs_is_not_read(prose: str) -> None:
    sent = {"previous_response_id": prose, "conversation": prose, "prompt": {"id": prose}}

    responses = describe({"model": "m", **sent}, RESPONSES)
    chat = describe({"model": "m", "reasoning_effort": prose[:20] + " ", "n": 2}, CHAT)

    assert responses.parameters == {}
    assert chat.parameters == {"choice_count": 2}


def test_a_full_messages_request() -> None:
    facts = describe(
        {
            "model": "claude-sonnet-5",
            "max_tokens": 100,
            "top_k": 3,
            "output_config": {"effort": "medium", "format": {"type": "json_schema"}},
            "metadata": {"user_id": "secret"},
        },
        MESSAGES,
    )

    assert facts == RequestFacts(
        model="claude-sonnet-5",
        parameters={
            "max_tokens": 100,
            "top_k": 3,
            "reasoning_level": "medium",
            "output_type": "json",
        },
    )


def test_a_full_embeddings_request() -> None:
    body = {"model": "e", "input": ["secret"], "encoding_format": "base64", "dimensions": 256}

    facts = describe(body, EMBEDDINGS)

    assert facts == RequestFacts(
        model="e", parameters={"encoding_format": "base64", "dimension_count": 256}
    )


def test_a_full_gemini_request() -> None:
    config = {
        "maxOutputTokens": 100,
        "topK": 40.0,
        "candidateCount": 2,
        "responseMimeType": "application/json",
        "responseSchema": {"title": "secret"},
        "thinkingConfig": {"thinkingLevel": "LOW"},
    }

    facts = describe({"contents": [], "generationConfig": config}, GEMINI_STREAM)

    assert facts == RequestFacts(
        model="gemini-2.5-flash",
        stream=True,
        parameters={
            "max_tokens": 100,
            "top_k": 40,
            "choice_count": 2,
            "output_type": "json",
            "reasoning_level": "LOW",
        },
    )


def test_the_size_of_a_gemini_embedding_is_read() -> None:
    facts = describe({"outputDimensionality": 768}, GEMINI_EMBED)

    assert facts == RequestFacts(model="gemini-embedding-001", parameters={"dimension_count": 768})


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1beta/models/a%2Fb:generateContent", "a/b"),
        ("/v1beta/tunedModels/mine%3AgenerateContent", "mine"),
        ("/v1beta//models//x:generateContent/", "x"),
        ("/v1/projects/p/locations/l/publishers/google/models/x:generateContent", "x"),
    ],
)
def test_a_gemini_model_comes_from_the_path(path: str, model: str) -> None:
    assert describe({}, path) == RequestFacts(model=model)


@pytest.mark.parametrize("path", PATHS)
def test_tags_are_found_in_every_dialect(path: str) -> None:
    facts = describe({"tags": {"any": ["shape"]}}, path)

    assert (facts.has_tags, facts.tags) == (True, {"any": ["shape"]})


def test_a_null_member_is_there_and_an_absent_one_is_not() -> None:
    there = describe({"tags": None, "stream_options": None})
    absent = describe({})

    assert (there.has_tags, there.has_stream_options) == (True, True)
    assert (absent.has_tags, absent.has_stream_options) == (False, False)


@pytest.mark.parametrize(
    ("body", "asks"),
    [
        ({"stream": True, "stream_options": {"include_usage": True}}, True),
        ({"stream": True, "stream_options": {"include_usage": False}}, False),
        ({"stream": True, "stream_options": {"include_usage": 1}}, False),
        ({"stream": True, "stream_options": [True]}, False),
        ({"stream": False, "stream_options": {"include_usage": True}}, False),
        ({"stream": True}, False),
    ],
)
def test_usage_is_asked_for_only_by_a_stream_that_says_so(body: Any, asks: bool) -> None:  # noqa: FBT001 - a column
    assert describe(body).asks_for_usage is asks


@pytest.mark.parametrize("model", [None, "", 4, ["gpt-4o"], {"name": "gpt-4o"}, True])
def test_a_model_that_is_no_name_is_none(model: Any) -> None:
    assert describe({"model": model}).model is None


@pytest.mark.parametrize(
    ("body", "model"), [({}, "my gpt"), ({"model": ""}, "my gpt"), ({"model": "gpt-4o"}, "gpt-4o")]
)
def test_a_deployment_in_the_path_stands_in_for_the_model(body: Any, model: str) -> None:
    path = "/openai/deployments/my%20gpt/chat/completions"

    assert describe(body, path).model == model


@pytest.mark.parametrize(
    "parameter",
    [
        {"temperature": "0.5"},
        {"temperature": True},
        {"max_tokens": 1.5},
        {"seed": 2**70},
        {"n": [1]},
        {"reasoning": "high"},
        {"reasoning_effort": 3},
        {"service_tier": ""},
        {"response_format": "json"},
        {"response_format": {"type": "xml"}},
    ],
)
def test_a_parameter_of_the_wrong_type_is_left_out(parameter: dict[str, Any]) -> None:
    assert describe({"model": "m", **parameter}) == RequestFacts(model="m")


def test_a_string_parameter_is_cut() -> None:
    assert describe({"service_tier": "x" * 100}).parameters == {"service_tier": "x" * 64}


def test_a_byte_order_mark_is_stepped_over() -> None:
    assert describe_bytes(b'\xef\xbb\xbf {"model":"m"}').model == "m"


@pytest.mark.parametrize(
    "text",
    [rb"\ud83d", rb"a\ude00b", rb"\ud83d\ud83d\ude00", rb"\\\ud83d", rb"\ud83d\n"],
    ids=repr,
)
def test_text_cut_within_an_emoji_does_not_hide_the_model(text: bytes) -> None:
    body = b'{"messages":[{"content":"' + text + b'"}],"model":"m"}'

    assert describe_bytes(body).model == "m"


def test_an_escaped_backslash_is_not_taken_for_a_cut_emoji() -> None:
    body = rb'{"a":"\ud83d","tags":"\\ud83d \ud83d\ude00"}'

    assert describe_bytes(body).tags == "\\ud83d \U0001f600"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "body",
    [b"", b"   ", b"[]", b"1", b'"x"', b"null", b"{", b'{"model":"m"', b"model=m", b"\xff\xfe{"],
    ids=repr,
)
def test_what_is_no_json_object_is_refused(path: str, body: bytes) -> None:
    with pytest.raises(
        UnreadableBody, match=r"^The request body is not a JSON object of this API\.$"
    ):
        describe_bytes(body, path)


def test_nesting_beyond_all_reason_is_refused() -> None:
    with pytest.raises(UnreadableBody):
        describe_bytes(b'{"messages":' + b"[" * 100_000)


@settings(deadline=None)
@given(path=st.sampled_from(PATHS), body=st.binary())
def test_junk_is_refused_and_nothing_else_is_raised(path: str, body: bytes) -> None:
    with pytest.raises(UnreadableBody):
        describe_bytes(b"\x00" + body, path)


@settings(deadline=None)
@given(
    path=st.sampled_from(PATHS),
    body=st.dictionaries(
        st.sampled_from(
            ["model", "stream", "stream_options", "temperature", "n", "reasoning", "text",
             "max_tokens", "generationConfig", "response_format", "output_config", "tags"]
        ),
        JSON,
    ),
)  # fmt: skip
def test_members_of_any_type_are_described(path: str, body: dict[str, Any]) -> None:
    facts = describe(body, path)

    assert facts.has_tags is ("tags" in body)
