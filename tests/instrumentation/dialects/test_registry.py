"""Which calls are metered, and as what."""

import pytest

from spanmeter.dialects.registry import DIALECTS, recognise

METERED = [
    ("/v1/chat/completions", "openai_chat", "/v1/chat/completions"),
    ("/chat/completions", "openai_chat", "/v1/chat/completions"),
    ("/openai/v1/chat/completions/", "openai_chat", "/v1/chat/completions"),
    ("//v1//chat//completions", "openai_chat", "/v1/chat/completions"),
    ("/v1/completions", "openai_completions", "/v1/completions"),
    ("/v1/embeddings", "openai_embeddings", "/v1/embeddings"),
    ("/api/v1/responses", "openai_responses", "/v1/responses"),
    ("/anthropic/v1/messages", "anthropic_messages", "/v1/messages"),
    ("/messages", "anthropic_messages", "/v1/messages"),
    (
        "/openai/deployments/my-gpt//chat/completions",
        "openai_chat",
        "/openai/deployments/{deployment}/chat/completions",
    ),
    (
        "/openai/deployments/e/embeddings",
        "openai_embeddings",
        "/openai/deployments/{deployment}/embeddings",
    ),
    (
        "/v1beta/models/gemini-2.5-flash:generateContent",
        "gemini_generate",
        "/v1beta/models/{model}:generateContent",
    ),
    (
        "/gemini/v1beta/models/gemini-2.5-flash%3AstreamGenerateContent",
        "gemini_generate",
        "/v1beta/models/{model}:streamGenerateContent",
    ),
    (
        "/v1beta/models/gemini-embedding-001:batchEmbedContents",
        "gemini_embeddings",
        "/v1beta/models/{model}:batchEmbedContents",
    ),
    (
        "/v1/projects/p/locations/global/publishers/google/models/m:generateContent",
        "gemini_generate",
        "/v1/projects/{project}/locations/{location}/publishers/{publisher}/models/{model}"
        ":generateContent",
    ),
]
UNMETERED = [
    ("GET", "/v1/chat/completions"),
    ("GET", "/v1/responses/resp_1"),
    ("POST", "/v1/responses/resp_1"),
    ("POST", "/v1/responses/resp_1/cancel"),
    ("DELETE", "/v1/responses"),
    ("POST", "/v1/chat/completions/chatcmpl-1"),
    ("POST", "/v1/messages/count_tokens"),
    ("POST", "/v1/messages/batches"),
    ("POST", "/v1/threads/thread_1/messages"),
    ("POST", "/v1beta/models/gemini-2.5-flash:countTokens"),
    ("POST", "/v1beta/models/gemini-2.5-flash:batchGenerateContent"),
    ("POST", "/v1/models"),
    ("POST", "/v1/audio/transcriptions"),
    ("POST", "/"),
    ("POST", ""),
    ("POST", ":"),
]


@pytest.mark.parametrize(("path", "name", "route"), METERED)
def test_a_path_is_recognised_by_its_end(path: str, name: str, route: str) -> None:
    dialect = recognise("POST", path)

    assert dialect is not None
    assert (dialect.name, dialect.route) == (name, route)


@pytest.mark.parametrize(("method", "path"), UNMETERED)
def test_what_calls_no_model_is_not_recognised(method: str, path: str) -> None:
    assert recognise(method, path) is None


def test_only_the_completion_dialects_can_be_asked_for_usage() -> None:
    asked = {dialect.name for dialect in DIALECTS if dialect.may_ask_for_usage}

    assert asked == {"openai_chat", "openai_completions"}


def test_only_chat_and_responses_have_an_api_type() -> None:
    api_type_by_name = {dialect.name: dialect.api_type for dialect in DIALECTS}

    assert {name: kind for name, kind in api_type_by_name.items() if kind} == {
        "openai_chat": "chat_completions",
        "openai_responses": "responses",
    }
