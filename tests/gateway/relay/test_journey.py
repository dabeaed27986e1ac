"""What is decided about a call, and what is known of it when it is refused half-way."""

import gzip
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from tests.gateway.relay.rules import (
    AZURE_UPSTREAM,
    HOUSE,
    UPSTREAM_BY_NAME,
    Headers,
    account,
    plan_of,
    plan_of_other,
    rules,
)

from spanmeter_gateway.errors import (
    CallerError,
    InvalidProvider,
    InvalidTag,
    MalformedBody,
    UnknownPath,
)
from spanmeter_gateway.relay.account import Account
from spanmeter_gateway.relay.head import RequestHead
from spanmeter_gateway.relay.journey import Rules, find_address, note_undecided
from spanmeter_gateway.relay.plan import Plan

OPENAI = UPSTREAM_BY_NAME["openai"]
CHAT = "/v1/chat/completions"
PLAIN = b'{"model":"gpt-4o","messages":[]}'
TAGGED = b'{"model":"gpt-4o","tags":["env:prod"],"messages":[]}'
STREAMED = b'{"model":"gpt-4o","stream":true}'
ASKING = b'{"stream_options":{"include_usage":true},"model":"gpt-4o","stream":true}'
CODINGS: dict[bytes, Callable[[bytes], bytes]] = {
    b"gzip": gzip.compress,
    b"x-gzip": gzip.compress,
    b"deflate": zlib.compress,
    b"br": brotli.compress,
    b"zstd": zstandard.compress,
}


def undecided(into: Account, target: str, head: RequestHead, *, under: Rules | None = None) -> None:
    under = under or rules()
    address = find_address(into, under, head=head, target=target)
    note_undecided(into, under, head=head, address=address)


def test_a_plain_call_goes_on_as_it_came() -> None:
    into = account()

    plan = plan_of(CHAT, PLAIN, [(b"x-feature", b"search"), (b"x-tags", b"env:prod")], into=into)

    assert plan == Plan(OPENAI, CHAT, PLAIN)
    assert (into.route, into.upstream, into.provider) == (CHAT, "openai", "openai")
    assert (into.attribution.feature, into.attribution.tags) == ("search", (("env", "prod"),))
    assert into.request_bytes == len(PLAIN)


def test_tags_are_read_and_never_go_upstream() -> None:
    into = account()

    plan = plan_of(CHAT, TAGGED, into=into)

    assert plan == Plan(OPENAI, CHAT, PLAIN)
    assert into.attribution.tags == (("env", "prod"),)


@pytest.mark.parametrize("tags", [b"null", b"7", b'{"env":"prod"}', b'"env:prod"', b"[]"])
def test_tags_of_any_type_never_go_upstream(tags: bytes) -> None:
    body = b'{"model":"gpt-4o","tags":%b}' % tags

    assert plan_of(CHAT, body).body == b'{"model":"gpt-4o"}'


def test_a_call_of_nobody_known_is_a_guess() -> None:
    into = account()

    plan = plan_of(CHAT, b'{"model":"unheard-of"}', into=into)

    assert (plan.upstream, into.is_guess) == (OPENAI, True)


@pytest.mark.parametrize(
    ("body", "target"),
    [
        (b"{not json", CHAT),
        (b"[1]", CHAT),
        (b"", CHAT),
        (b"null", CHAT),
        (b'{"messages":[]}', CHAT),
        (b'{"model":7}', CHAT),
        (b'{"model":""}', CHAT),
        (b'{"model":null}', CHAT),
        (b"[" * 100_000, CHAT),
        (b'{"model":"m","x":' + b"[" * 100_000, CHAT),
        (b'{"max_tokens":1}', "/v1/messages"),
        (b"{not json", "/v1beta/models/gemini-x:generateContent"),
        (PLAIN[:-1], CHAT),
        (PLAIN + b"}", CHAT),
    ],
)
def test_a_body_without_a_model_is_refused_and_not_quoted(body: bytes, target: str) -> None:
    into = account()

    with pytest.raises(MalformedBody) as caught:
        plan_of(target, body, [(b"x-feature", b"f")], into=into)

    said = f"{caught.value} {caught.value.__cause__}"
    assert (body.decode() or "\0") not in said


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (b'{"model":"a","model":"b"}', "b"),
        (b'{"model":"a\\u0000b"}', "a\0b"),
        (b'{"model":"\\ud83d"}', "\ufffd"),
        (b'\xef\xbb\xbf{"model":"a"}', "a"),
        (b' \r\n{ "model" : "a" } ', "a"),
    ],
)
def test_odd_models_are_read_as_a_provider_would_and_go_on_untouched(
    body: bytes, model: str
) -> None:
    into = account()

    plan = plan_of(CHAT, body, into=into)

    assert (into.request_model, plan.body) == (model, body)


def test_a_model_of_a_megabyte_is_cut_where_it_is_kept() -> None:
    into = account()
    body = b'{"model":"%b"}' % (b"m" * 1_000_000)

    plan = plan_of(CHAT, body, into=into)

    assert (into.request_model, plan.body) == ("m" * 256, body)


@pytest.mark.parametrize("target", ["/v1beta/models/gemini-2.5-pro:generateContent"])
def test_a_model_in_the_path_is_enough(target: str) -> None:
    into = account()

    plan = plan_of(target, b"{}", into=into)

    assert (plan.upstream.name, plan.target, into.request_model) == (
        "gemini",
        target,
        "gemini-2.5-pro",
    )


@pytest.mark.parametrize("coding", CODINGS)
def test_a_compressed_body_is_read_and_goes_on_compressed(coding: bytes) -> None:
    into = account()
    body = CODINGS[coding](PLAIN)

    plan = plan_of(CHAT, body, [(b"content-encoding", coding.upper())], into=into)

    assert plan == Plan(OPENAI, CHAT, body)
    assert (into.request_model, into.request_bytes) == ("gpt-4o", len(body))


@pytest.mark.parametrize("coding", CODINGS)
def test_a_compressed_body_with_tags_goes_on_in_the_clear(coding: bytes) -> None:
    body = CODINGS[coding](TAGGED)

    plan = plan_of(CHAT, body, [(b"content-encoding", coding)])

    assert plan == Plan(OPENAI, CHAT, PLAIN, is_decoded=True)


def test_the_identity_coding_changes_nothing() -> None:
    assert plan_of(CHAT, PLAIN, [(b"content-encoding", b"identity")]) == Plan(OPENAI, CHAT, PLAIN)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"lzma", PLAIN),
        (b"gzip", PLAIN),
        (b"gzip, br", PLAIN),
        (b"gzip", gzip.compress(PLAIN) + b"junk"),
    ],
)
def test_a_body_in_a_coding_that_cannot_be_undone_goes_on_unread(
    coding: bytes, body: bytes
) -> None:
    headers = [(b"content-encoding", coding), (b"x-feature", b"f")]
    into = account()

    plan = plan_of("/openai" + CHAT, body, headers, into=into)

    assert plan == Plan(OPENAI, CHAT, body)
    assert (into.request_model, into.attribution.feature) == (None, "f")


@pytest.mark.parametrize(
    ("target", "headers", "body", "asks"),
    [
        (CHAT, [], STREAMED, True),
        (CHAT, [], PLAIN, False),
        (CHAT, [], ASKING, False),
        ("/v1/completions", [], STREAMED, True),
        ("/v1/responses", [], STREAMED, False),
        ("/v1/messages", [], STREAMED, False),
        ("/anthropic" + CHAT, [], STREAMED, True),
        ("/groq/openai" + CHAT, [], STREAMED, True),
        ("/mistral" + CHAT, [], STREAMED, False),
        ("/perplexity/chat/completions", [], STREAMED, False),
        ("/openrouter/api" + CHAT, [], STREAMED, False),
        ("/house" + CHAT, [], STREAMED, False),
        (CHAT, [(b"x-provider", b"azure")], STREAMED, True),
        ("/azure/openai/deployments/d/chat/completions", [], STREAMED, True),
        (
            "/azure/openai/deployments/d/chat/completions?api-version=2024-06-01",
            [],
            STREAMED,
            False,
        ),
        (
            "/azure/openai/deployments/d/chat/completions?api-version=2024-09-01-preview",
            [],
            STREAMED,
            True,
        ),
        ("/azure/openai/v1/chat/completions", [], STREAMED, True),
    ],
)
def test_usage_is_asked_for_only_where_the_provider_accepts_it(
    target: str, headers: Headers, *, body: bytes, asks: bool
) -> None:
    plan = plan_of(target, body, headers)

    assert plan.hides_usage == asks
    assert (plan.body != body) == asks
    assert (b'"stream_options":{"include_usage":true}' in plan.body) == (asks or body is ASKING)


def test_usage_is_not_asked_for_when_the_operator_says_so() -> None:
    assert plan_of(CHAT, STREAMED, under=rules(ask_for_usage=False)) == Plan(OPENAI, CHAT, STREAMED)


def test_tags_and_usage_are_edited_together() -> None:
    body = b'{"model":"gpt-4o","stream":true,"tags":["a:b"]}'

    plan = plan_of(CHAT, body)

    assert plan == Plan(
        OPENAI,
        CHAT,
        b'{"stream_options":{"include_usage":true},"model":"gpt-4o","stream":true}',
        hides_usage=True,
    )


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        (b"env:prod,not a tag", "invalid_tag"),
        (b",".join(b"k%d:v" % n for n in range(11)), "too_many_tags"),
    ],
)
def test_a_strict_gateway_refuses_a_tag_and_still_counts_what_was_right(
    tags: bytes, code: str
) -> None:
    into = account()

    with pytest.raises(InvalidTag) as caught:
        plan_of(CHAT, PLAIN, [(b"x-feature", b"f"), (b"x-tags", tags)], under=rules(strict=True),
                into=into)  # fmt: skip

    assert caught.value.code == code
    assert into.attribution.feature == "f"
    assert into.attribution.tags[0] in {("env", "prod"), ("k0", "v")}
    assert into.request_model == "gpt-4o"


def test_a_call_refused_for_its_tags_has_the_provider_that_its_model_leads_to() -> None:
    into, headers = account(), [(b"x-tags", b"not a tag")]
    strict = rules(strict=True)
    with pytest.raises(InvalidTag):
        plan_of(CHAT, PLAIN, headers, under=strict, into=into)

    undecided(into, CHAT, RequestHead(headers), under=strict)

    assert (into.provider, into.request_model) == ("openai", "gpt-4o")


def test_a_lenient_gateway_lets_the_same_call_through() -> None:
    plan = plan_of(CHAT, PLAIN, [(b"x-tags", b"not a tag")])

    assert plan == Plan(OPENAI, CHAT, PLAIN)


def test_tags_without_number_cost_one_note_and_never_the_call() -> None:
    tags = b"[" + b",".join(b'"k%d:v"' % n for n in range(100_000)) + b"]"
    into = account()

    plan = plan_of(CHAT, b'{"model":"gpt-4o","tags":%b}' % tags, into=into)

    assert plan.body == b'{"model":"gpt-4o"}'
    assert len(into.attribution.tags) == 10
    assert len(into.attribution.drops) < 300


@pytest.mark.parametrize(
    ("target", "headers", "refusal"),
    [
        (CHAT, [(b"x-provider", b"nobody")], InvalidProvider),
        ("/v1/projects/p/locations/l/publishers/google/models/m:generateContent", [], UnknownPath),
    ],
)
def test_a_call_that_goes_nowhere_is_known_when_it_is_refused(
    target: str, headers: Headers, refusal: type[CallerError]
) -> None:
    into = account()

    with pytest.raises(refusal):
        plan_of(target, PLAIN, [*headers, (b"x-feature", b"f")], into=into)

    assert into.attribution.feature == "f"
    assert into.dialect is not None


@pytest.mark.parametrize(
    ("target", "headers", "upstream", "path"),
    [
        ("/v1/models", [], OPENAI, "/v1/models"),
        ("/house/v1/models", [], HOUSE, "/v1/models"),
        ("/v1/files?limit=1", [(b"x-provider", b"house")], HOUSE, "/v1/files?limit=1"),
        (
            "/v1/models",
            [(b"api-key", b"k")],
            AZURE_UPSTREAM,
            "/openai/v1/models?api-version=2024-10-21",
        ),
    ],
)
def test_any_other_request_goes_by_its_head(
    target: str, headers: Headers, *, upstream: object, path: str
) -> None:
    into = account("GET")

    plan = plan_of_other(target, [*headers, (b"x-feature", b"f")], into=into)

    assert (plan.upstream, plan.target, plan.body) == (upstream, path, b"")
    assert (into.attribution.feature, into.route) == ("f", f"/{plan.upstream.name}/*")
    assert into.dialect is None


@pytest.mark.parametrize("strict", [False, True])
def test_a_call_that_ends_undecided_is_attributed_by_its_headers(*, strict: bool) -> None:
    into = account()
    head = RequestHead([(b"x-feature", b"f"), (b"x-tags", b"env:prod,not a tag")])

    undecided(into, CHAT, head, under=rules(strict=strict))

    assert (into.attribution.feature, into.attribution.tags) == ("f", (("env", "prod"),))


@pytest.mark.parametrize(
    ("target", "headers", "provider", "model"),
    [
        (CHAT, [], None, None),
        (CHAT, [(b"x-provider", b"groq")], "groq", None),
        (CHAT, [(b"x-provider", b"nobody")], None, None),
        ("/mistral" + CHAT, [], "mistral_ai", None),
        ("/v1/messages", [], "anthropic", None),
        ("/openai/deployments/d/chat/completions", [], "azure.ai.openai", "d"),
        ("/v1beta/models/gemini-x:generateContent", [], "gcp.gemini", "gemini-x"),
        ("/nobody/lives/here", [], None, None),
    ],
)
def test_a_call_that_ends_undecided_has_what_its_head_names(
    target: str, headers: Headers, *, provider: str | None, model: str | None
) -> None:
    into = account()

    undecided(into, target, RequestHead(headers))

    assert (into.provider, into.request_model) == (provider, model)


def test_what_was_decided_is_not_noted_again() -> None:
    into = account()
    plan_of(CHAT, PLAIN, into=into)

    undecided(into, "/groq/openai" + CHAT, RequestHead([]))

    assert (into.provider, into.request_model) == ("openai", "gpt-4o")
