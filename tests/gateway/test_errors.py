import pytest

from spanmeter_gateway import errors


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.MalformedBody("m"), (400, "invalid_request_error", "invalid_request")),
        (errors.UnknownPath("m"), (404, "invalid_request_error", "unknown_path")),
        (errors.InvalidProvider("m"), (400, "invalid_request_error", "invalid_provider")),
        (errors.AzureConfigMissing("m"), (400, "invalid_request_error", "azure_config_missing")),
        (errors.InvalidTag("too_many_tags", "m"), (400, "invalid_request_error", "too_many_tags")),
        (errors.InvalidGatewayKey("m"), (401, "invalid_request_error", "invalid_gateway_key")),
        (errors.BodyTooLarge("m"), (413, "invalid_request_error", "request_too_large")),
        (errors.UpstreamBroken("m", upstream="u"), (502, "api_error", "provider_bad_response")),
        (errors.UpstreamUnreachable("m", upstream="u"), (503, "api_error", "provider_unreachable")),
        (errors.UpstreamTimeout("m", upstream="u"), (504, "api_error", "provider_timeout")),
        (errors.StreamInterrupted("m", upstream="u"), (502, "api_error", "stream_interrupted")),
        (errors.GatewayBusy("m"), (503, "api_error", "gateway_busy")),
    ],
)
def test_an_error_carries_the_status_type_and_code_that_callers_rely_on(
    error: errors.GatewayError, expected: tuple[int, str, str]
) -> None:
    assert (error.status, error.type, error.code) == expected
    assert (str(error), error.message) == ("m", "m")


def test_a_configuration_error_is_one_line_a_problem() -> None:
    error = errors.ConfigError(
        [errors.ConfigProblem("a.yaml", "", "is empty"), errors.ConfigProblem("a.yaml", "b", "c")]
    )

    assert str(error) == "a.yaml: is empty\na.yaml: b: c"
