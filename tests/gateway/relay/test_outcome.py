"""Each row of the table of outcomes in ARCHITECTURE.md."""

import pytest

from spanmeter.dialects.dialect import ResponseFacts
from spanmeter.outcome import Verdict, judge_answer
from spanmeter_gateway.errors import (
    AzureConfigMissing,
    BodyTooLarge,
    GatewayBusy,
    GatewayError,
    InvalidProvider,
    InvalidTag,
    MalformedBody,
    StreamInterrupted,
    UnknownPath,
    UpstreamBroken,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from spanmeter_gateway.relay.outcome import judge_error

SAID_NOTHING = ResponseFacts()


@pytest.mark.parametrize("status", [200, 201, 204, 206, 299])
def test_a_complete_answer_of_2xx_is_ok(status: int) -> None:
    assert judge_answer(status, SAID_NOTHING, is_credential_held=False) == Verdict("ok")


@pytest.mark.parametrize("is_held", [False, True])
@pytest.mark.parametrize(
    ("status", "outcome", "source"),
    [
        *((status, "caller_error", "caller") for status in (400, 404, 405, 409, 413, 415, 422)),
        *((status, "provider_error", "provider") for status in (408, 429)),
        *((status, "provider_error", "provider") for status in (500, 502, 503, 504, 529, 599)),
        *((status, "provider_error", "provider") for status in (300, 304, 307)),
    ],
)
def test_an_error_status_says_whose_fault_it_is_whoever_owns_the_credential(
    status: int, outcome: str, source: str, *, is_held: bool
) -> None:
    verdict = judge_answer(status, SAID_NOTHING, is_credential_held=is_held)

    assert verdict == (outcome, str(status), source)


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refused_credential_is_the_fault_of_its_owner(status: int) -> None:
    verdicts = [
        judge_answer(status, SAID_NOTHING, is_credential_held=held) for held in (False, True)
    ]

    assert verdicts == [
        ("caller_error", str(status), "caller"),
        ("gateway_error", str(status), "gateway"),
    ]


@pytest.mark.parametrize(
    ("code", "error_type"),
    [
        ("server_error", "server_error"),
        ("overloaded_error", "overloaded_error"),
        ("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"),
        ("502", "502"),
        (None, "_OTHER"),
        ("", "_OTHER"),
        ("Please tell Bob that his key is broken", "_OTHER"),
        ("5021", "_OTHER"),
    ],
)
def test_an_error_within_a_200_is_the_providers(code: str | None, error_type: str) -> None:
    facts = ResponseFacts(is_error=True, error_type=code)

    verdict = judge_answer(200, facts, is_credential_held=True)

    assert verdict == ("provider_error", error_type, "provider")


@pytest.mark.parametrize(
    ("code", "error_type"),
    [
        ("context_length_exceeded", "context_length_exceeded"),
        ("INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ("DeploymentNotFound", "DeploymentNotFound"),
        ("invalid_request_error", "invalid_request_error"),
        (None, "400"),
        ("Invalid value: 'my secret prompt'", "400"),
        ("invalid_request_error\n", "400"),
        ("\u0664\u0660\u0660", "400"),
        ("429", "429"),
        ("777", "400"),
        ("123", "400"),
    ],
)
def test_only_a_listed_code_becomes_an_error_type(code: str | None, error_type: str) -> None:
    facts = ResponseFacts(is_error=True, error_type=code)

    assert judge_answer(400, facts, is_credential_held=False).error_type == error_type


@pytest.mark.parametrize(
    ("error", "slug", "verdict"),
    [
        (MalformedBody(""), None, ("caller_error", "invalid_request", "caller")),
        (InvalidProvider(""), None, ("caller_error", "invalid_provider", "caller")),
        (AzureConfigMissing(""), None, ("caller_error", "azure_config_missing", "caller")),
        (InvalidTag("too_many_tags", ""), None, ("caller_error", "too_many_tags", "caller")),
        (UnknownPath(""), None, ("caller_error", "unknown_path", "caller")),
        (BodyTooLarge(""), None, ("caller_error", "request_too_large", "caller")),
        (GatewayBusy(""), None, ("gateway_error", "gateway_busy", "gateway")),
        (GatewayError(""), None, ("gateway_error", "gateway_error", "gateway")),
        (
            UpstreamBroken("", upstream="u"),
            "connection_error",
            ("provider_error", "connection_error", "provider"),
        ),
        (
            UpstreamBroken("", upstream="u"),
            None,
            ("provider_error", "provider_bad_response", "provider"),
        ),
        (
            UpstreamUnreachable("", upstream="u"),
            None,
            ("provider_error", "provider_unreachable", "provider"),
        ),
        (UpstreamTimeout("", upstream="u"), "timeout", ("provider_error", "timeout", "provider")),
        (
            StreamInterrupted("", upstream="u"),
            None,
            ("provider_error", "stream_interrupted", "provider"),
        ),
    ],
)
def test_an_answer_of_our_own_is_judged_by_its_error(
    error: GatewayError, slug: str | None, verdict: tuple[str, str, str]
) -> None:
    assert judge_error(error, slug) == verdict


class Denied(GatewayError):
    code = "denied"


@pytest.mark.parametrize("status", [401, 402, 403, 429])
def test_our_own_denial_is_policy(status: int) -> None:
    error = type("Denied", (Denied,), {"status": status})("")

    assert judge_error(error) == ("policy_denied", "denied", "gateway")
