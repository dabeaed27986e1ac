"""The pretend provider, judged by the providers' own SDKs."""

from collections.abc import Iterator

import anthropic
import httpx
import openai
import pytest
from google import genai
from google.genai import types

MESSAGES = [{"role": "user", "content": "Hello " * 1200}]


@pytest.fixture
def client(provider: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{provider}/v1", api_key="x", max_retries=0) as opened:
        yield opened


@pytest.fixture
def claude(provider: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=provider, api_key="x", max_retries=0) as opened:
        yield opened


@pytest.fixture
def gemini(provider: str) -> Iterator[genai.Client]:
    options = types.HttpOptions(base_url=provider)
    with genai.Client(api_key="x", http_options=options) as opened:
        yield opened


def test_a_chat_answer_has_text_and_counts_that_add_up(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="gpt-5-mini", messages=MESSAGES)

    assert answer.choices[0].message.content
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.completion_tokens > answer.usage.completion_tokens_details.reasoning_tokens
    assert answer.usage.completion_tokens_details.reasoning_tokens > 0


def test_a_chat_stream_that_was_asked_has_its_usage_in_one_more_chunk(
    client: openai.OpenAI,
) -> None:
    chunks = list(
        client.chat.completions.create(
            model="gpt-4.1",
            messages=MESSAGES,
            stream=True,
            stream_options={"include_usage": True},
        )
    )

    assert (chunks[-1].choices, chunks[-2].choices[0].finish_reason) == ([], "stop")
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert all("usage" in chunk.model_fields_set for chunk in chunks)
    assert chunks[-1].usage.prompt_tokens > 1024


def test_a_chat_stream_that_was_not_asked_says_nothing_of_usage(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="gpt-4.1", messages=MESSAGES, stream=True))

    assert ["usage" in chunk.model_fields_set for chunk in chunks] == [False] * len(chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_text_completion_streams_the_text_that_it_answers_with(client: openai.OpenAI) -> None:
    chunks = client.completions.create(
        model="davinci-002", prompt="a", stream=True, stream_options={"include_usage": True}
    )

    *pieces, last = list(chunks)
    assert all(piece.choices[0].text for piece in pieces)
    assert (last.choices, last.usage.total_tokens > 0) == ([], True)


@pytest.mark.parametrize("form", ["float", "base64"])
def test_embeddings_come_one_an_input_in_either_form(client: openai.OpenAI, form: str) -> None:
    answer = client.embeddings.create(
        model="text-embedding-3-small", input=["a", "b"], encoding_format=form
    )

    assert [item.index for item in answer.data] == [0, 1]
    assert len(answer.data[0].embedding) in {8, 44}
    assert answer.usage.total_tokens == answer.usage.prompt_tokens


def test_a_responses_stream_ends_with_the_whole_response(client: openai.OpenAI) -> None:
    with client.responses.stream(model="gpt-5-mini", input="Hello") as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()

    assert "".join(deltas) == final.output_text
    assert final.usage.total_tokens == final.usage.input_tokens + final.usage.output_tokens


def test_a_message_streams_what_it_counts(claude: anthropic.Anthropic) -> None:
    with claude.messages.stream(
        model="claude-sonnet-5", max_tokens=100, messages=MESSAGES
    ) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()

    assert text == final.content[0].text
    assert final.usage.cache_read_input_tokens + final.usage.cache_creation_input_tokens > 0
    assert final.stop_reason == "end_turn"


def test_gemini_answers_and_streams(gemini: genai.Client) -> None:
    answer = gemini.models.generate_content(model="gemini-2.5-flash", contents="Hello")
    chunks = list(gemini.models.generate_content_stream(model="gemini-2.5-flash", contents="Hello"))

    assert answer.text
    assert chunks[-1].candidates[0].finish_reason == "STOP"
    assert chunks[-1].usage_metadata.candidates_token_count > 0


def test_gemini_without_events_streams_one_array(provider: str) -> None:
    answer = httpx.post(
        f"{provider}/v1beta/models/gemini-2.5-flash:streamGenerateContent", json={"contents": []}
    )

    assert answer.headers["content-type"] == "application/json"
    assert {piece["modelVersion"] for piece in answer.json()} == {"gemini-2.5-flash"}


@pytest.mark.parametrize(
    ("status", "raised"),
    [
        (400, openai.BadRequestError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
    ],
)
def test_a_pretended_status_is_the_sdks_own_error(
    client: openai.OpenAI, status: int, raised: type[openai.APIStatusError]
) -> None:
    with pytest.raises(raised):
        client.chat.completions.create(
            model="gpt-4.1", messages=MESSAGES, extra_headers={"X-Pretend": str(status)}
        )


def test_an_overloaded_claude_is_529(claude: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.InternalServerError) as raised:
        claude.messages.create(
            model="claude-sonnet-5",
            max_tokens=10,
            messages=MESSAGES,
            extra_headers={"X-Pretend": "529"},
        )

    assert raised.value.status_code == 529


def test_an_error_event_ends_a_stream(claude: anthropic.Anthropic) -> None:
    with (
        pytest.raises(anthropic.APIStatusError, match="overloaded_error"),
        claude.messages.stream(
            model="claude-sonnet-5",
            max_tokens=10,
            messages=MESSAGES,
            extra_headers={"X-Pretend": "event"},
        ) as stream,
    ):
        stream.until_done()


def test_a_cut_stream_ends_without_its_end(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="gpt-4.1", messages=MESSAGES, stream=True, extra_headers={"X-Pretend": "cut"}
    )

    with pytest.raises(openai.APIConnectionError):
        list(stream)


def test_an_unknown_path_is_404(provider: str) -> None:
    assert httpx.post(f"{provider}/v1/nothing", json={}).status_code == 404
