"""However a call ends, the caller gets an honest answer and the feature gets one count."""

import json
import uuid
from collections.abc import Callable

import pytest
from tests.fakes.raw_client import RawAnswer, RawClient
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess

CHAT = "/v1/chat/completions"
PLAIN = b'{"model":"gpt-4o-mini","messages":[]}'
STREAMED = b'{"model":"gpt-4o-mini","messages":[],"stream":true}'


def call(
    gateway: GatewayProcess, target: str, body: bytes, headers: dict[str, str]
) -> tuple[str, RawAnswer]:
    feature = f"f-{uuid.uuid4().hex[:12]}"
    with RawClient(gateway.url) as client:
        lines = [("x-feature", feature), ("x-tags", "env:test"), *headers.items()]
        return feature, client.call(target, body, headers=lines)


def counted(gateway: GatewayProcess, feature: str) -> tuple[str, str, str]:
    """Wait for the one call of a feature; returns outcome, error type and its env tag."""
    metrics = gateway.wait_metrics(
        lambda now: now.total("spanmeter_calls_total", spanmeter_feature=feature) > 0
    )
    found = [
        (labels["spanmeter_outcome"], labels["error_type"], labels["spanmeter_tag_env"])
        for labels, value in metrics.select("spanmeter_calls_total", spanmeter_feature=feature)
        for _ in range(int(value))
    ]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("body", [PLAIN, STREAMED], ids=["plain", "streamed"])
@pytest.mark.parametrize(
    ("target", "script", "status", "outcome", "error_type"),
    [
        (CHAT, "chat", 200, "ok", ""),
        (CHAT, "status 400", 400, "caller_error", "400"),
        (CHAT, "status 401 invalid_api_key", 401, "caller_error", "invalid_api_key"),
        ("/held" + CHAT, "status 401 invalid_api_key", 401, "gateway_error", "invalid_api_key"),
        (CHAT, "status 404 model_not_found", 404, "caller_error", "model_not_found"),
        (CHAT, "status 429 insufficient_quota", 429, "provider_error", "insufficient_quota"),
        (CHAT, "status 429 a sentence about you", 429, "provider_error", "429"),
        (CHAT, "status 500", 500, "provider_error", "500"),
        (CHAT, "status 529", 529, "provider_error", "529"),
        (CHAT, "close-before-head", 502, "provider_error", "connection_error"),
        (CHAT, "reset-before-head", 502, "provider_error", "connection_error"),
        (CHAT, "garbage", 502, "provider_error", "provider_bad_response"),
        ("/impatient" + CHAT, "never", 504, "provider_error", "timeout"),
        ("/refused" + CHAT, "", 503, "provider_error", "connection_error"),
        ("/unroutable" + CHAT, "", 503, "provider_error", "connection_error"),
        (CHAT, "informational", 200, "ok", ""),
        (CHAT, "http10", 200, "ok", ""),
    ],
)
def test_an_end_before_or_at_the_answer(
    gateway: GatewayProcess,
    *,
    body: bytes,
    target: str,
    script: str,
    status: int,
    outcome: str,
    error_type: str,
) -> None:
    feature, answer = call(gateway, target, body, {"x-script": script})

    assert answer.status == status
    assert not answer.is_cut
    assert counted(gateway, feature) == (outcome, error_type, "test")


@pytest.mark.parametrize(
    ("target", "body", "script", "error_type"),
    [
        (CHAT, PLAIN, "close-mid-body length", "stream_interrupted"),
        (CHAT, STREAMED, "close-mid-body chunked", "stream_interrupted"),
        (CHAT, STREAMED, "bad-chunk", "stream_interrupted"),
        ("/impatient" + CHAT, STREAMED, "stall", "timeout"),
    ],
)
def test_an_answer_that_is_cut_is_cut_for_the_caller_too(
    gateway: GatewayProcess, *, target: str, body: bytes, script: str, error_type: str
) -> None:
    feature, answer = call(gateway, target, body, {"x-script": script})

    assert answer.status == 200
    assert answer.is_cut
    assert counted(gateway, feature) == ("provider_error", error_type, "test")


def test_half_a_document_that_only_the_close_ended_was_cut(gateway: GatewayProcess) -> None:
    feature, answer = call(gateway, CHAT, PLAIN, {"x-script": "half-document"})

    assert answer.status == 200
    assert counted(gateway, feature) == ("provider_error", "stream_interrupted", "test")


@pytest.mark.parametrize(
    ("target", "body", "headers", "status", "code"),
    [
        (CHAT, b"{not json", {}, 400, "invalid_request"),
        (CHAT, b"[1]", {}, 400, "invalid_request"),
        (CHAT, b'{"messages":[]}', {}, 400, "invalid_request"),
        (CHAT, b'{"model":7}', {}, 400, "invalid_request"),
        (CHAT, b"", {}, 400, "invalid_request"),
        (CHAT, PLAIN, {"x-provider": "nobody"}, 400, "invalid_provider"),
        (CHAT, PLAIN, {"x-lectr-provider": "azure"}, 400, "azure_config_missing"),
        ("/openai/deployments/d/chat/completions", PLAIN, {}, 400, "azure_config_missing"),
        (CHAT, b"x" * 1_000_001, {}, 413, "request_too_large"),
    ],
)
def test_a_call_that_we_refuse_says_why_and_is_counted(
    gateway: GatewayProcess,
    *,
    target: str,
    body: bytes,
    headers: dict[str, str],
    status: int,
    code: str,
) -> None:
    feature, answer = call(gateway, target, body, headers)

    assert answer.status == status
    assert json.loads(answer.body)["error"]["code"] == code
    assert counted(gateway, feature) == ("caller_error", code, "test")


@pytest.mark.parametrize(
    ("target", "find_type"),
    [
        ("/v1/messages", lambda body: (body["type"], body["error"]["type"])),
        (
            "/v1beta/models/gemini-x:generateContent",
            lambda body: (body["error"]["code"], body["error"]["status"]),
        ),
    ],
)
def test_our_errors_have_the_shape_of_the_callers_dialect(
    gateway: GatewayProcess, target: str, find_type: Callable[[dict[str, object]], object]
) -> None:
    _, answer = call(gateway, target, b"{not json", {})

    assert answer.status == 400
    assert find_type(json.loads(answer.body)) in {
        ("error", "invalid_request_error"),
        (400, "INVALID_ARGUMENT"),
    }


def test_an_unknown_path_says_what_to_do(gateway: GatewayProcess) -> None:
    _, answer = call(gateway, "/nobody/lives/here", b"", {})

    assert answer.status == 404
    assert "/<upstream>/<path>" in json.loads(answer.body)["error"]["message"]


def test_a_held_credential_replaces_the_callers(
    gateway: GatewayProcess, provider: ReplayProvider
) -> None:
    headers = {"authorization": "Bearer mine", "x-script": "chat", "x-replay-key": "held"}

    call(gateway, "/held" + CHAT, PLAIN, headers)

    assert provider.take("held").header("authorization") == "Bearer held-secret"
