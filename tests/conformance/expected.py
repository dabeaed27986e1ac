"""What each cell of the matrix must be: outcome and error type, written down by hand.

The outcomes are those of ARCHITECTURE.md, the error types those of docs/errors.md; a provider's
machine code stands where it is on the list there. `-`: no error. `n/a X`: cannot exist, for the
reason X. Nothing here is computed from the gateway's code.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One way for a call to end. `reaches`: how much of the call is known when it ends.

    `denied`: nothing but the head was read; `unread`: the body could not be; `sent`: all is known,
    and a provider was asked.
    """

    what: str
    caller: str
    reaches: str = "sent"


ROWS = {
    "ok": Row("The provider answers.", "the answer"),
    "provider-400": Row("The provider answers 400.", "the provider's 400"),
    "provider-404": Row("The provider answers 404.", "the provider's 404"),
    "provider-422": Row("The provider answers 422.", "the provider's 422"),
    "provider-401-own": Row(
        "The provider refuses the caller's own credential.", "the provider's 401"
    ),
    "provider-401-held": Row(
        "The provider refuses the credential that the gateway holds.", "the provider's 401"
    ),
    "provider-429": Row("The provider answers 429.", "the provider's 429"),
    "provider-5xx": Row("The provider answers 500, 503 or 529.", "the provider's status"),
    "policy-denied": Row("The call shows no gateway key, or a wrong one.", "401", "denied"),
    "connect-refused": Row("Nobody listens at the provider's address.", "503"),
    "connect-timeout": Row("No connection within `timeouts.connect_s`.", "503"),
    "first-byte-timeout": Row("No answer within `timeouts.first_byte_s`.", "504"),
    "cut": Row("The connection ends in the midst of the answer.", "200, cut"),
    "error-event": Row("An error event in the midst of the stream.", "200"),
    "error-in-200": Row("The answer is 200 and its body an error.", "200"),
    "left-before-usage": Row("The caller leaves before the usage came.", "nothing more"),
    "left-after-usage": Row("The caller leaves after it, before the end.", "nothing more"),
    "malformed": Row("The request's body is not JSON.", "400", "unread"),
    "oversize": Row("The body is over `limits.body_bytes`.", "413", "unread"),
    "books-killed": Row("The books are killed while the call is under way.", "the answer"),
    "relay-killed": Row("The relay is killed while the call is under way.", "nothing, or cut"),
}

REASONS = {
    "a": "what is not streamed has no events",
    "b": "there are no streamed embeddings",
    "c": "Gemini reports no usage of embeddings",
}

# fmt: off
PLAIN = """
row                | outcome        | openai-chat           | openai-completions    | openai-embeddings     | openai-responses      | anthropic-messages    | gemini-generate       | gemini-embeddings     | azure-chat
ok                 | ok             | -                     | -                     | -                     | -                     | -                     | -                     | -                     | -
provider-400       | caller_error   | unsupported_value     | unsupported_value     | unsupported_value     | unsupported_value     | invalid_request_error | INVALID_ARGUMENT      | INVALID_ARGUMENT      | content_filter
provider-404       | caller_error   | model_not_found       | model_not_found       | model_not_found       | model_not_found       | not_found_error       | NOT_FOUND             | NOT_FOUND             | DeploymentNotFound
provider-422       | caller_error   | 422                   | 422                   | 422                   | 422                   | invalid_request_error | FAILED_PRECONDITION   | FAILED_PRECONDITION   | 422
provider-401-own   | caller_error   | invalid_api_key       | invalid_api_key       | invalid_api_key       | invalid_api_key       | authentication_error  | UNAUTHENTICATED       | UNAUTHENTICATED       | 401
provider-401-held  | gateway_error  | invalid_api_key       | invalid_api_key       | invalid_api_key       | invalid_api_key       | authentication_error  | UNAUTHENTICATED       | UNAUTHENTICATED       | 401
provider-429       | provider_error | insufficient_quota    | insufficient_quota    | insufficient_quota    | insufficient_quota    | rate_limit_error      | RESOURCE_EXHAUSTED    | RESOURCE_EXHAUSTED    | 429
provider-5xx       | provider_error | 503                   | 503                   | 503                   | 503                   | overloaded_error      | UNAVAILABLE           | UNAVAILABLE           | InternalServerError
policy-denied      | policy_denied  | invalid_gateway_key   | invalid_gateway_key   | invalid_gateway_key   | invalid_gateway_key   | invalid_gateway_key   | invalid_gateway_key   | invalid_gateway_key   | invalid_gateway_key
connect-refused    | provider_error | connection_error      | connection_error      | connection_error      | connection_error      | connection_error      | connection_error      | connection_error      | connection_error
connect-timeout    | provider_error | timeout               | timeout               | timeout               | timeout               | timeout               | timeout               | timeout               | timeout
first-byte-timeout | provider_error | timeout               | timeout               | timeout               | timeout               | timeout               | timeout               | timeout               | timeout
cut                | provider_error | stream_interrupted    | stream_interrupted    | stream_interrupted    | stream_interrupted    | stream_interrupted    | stream_interrupted    | stream_interrupted    | stream_interrupted
error-event        | provider_error | n/a a                 | n/a a                 | n/a a                 | n/a a                 | n/a a                 | n/a a                 | n/a a                 | n/a a
error-in-200       | provider_error | 502                   | 502                   | 502                   | 502                   | api_error             | INTERNAL              | INTERNAL              | server_error
left-before-usage  | cancelled      | client_disconnected   | client_disconnected   | client_disconnected   | client_disconnected   | client_disconnected   | client_disconnected   | client_disconnected   | client_disconnected
left-after-usage   | cancelled      | client_disconnected   | client_disconnected   | client_disconnected   | client_disconnected   | client_disconnected   | client_disconnected   | n/a c                 | client_disconnected
malformed          | caller_error   | invalid_request       | invalid_request       | invalid_request       | invalid_request       | invalid_request       | invalid_request       | invalid_request       | invalid_request
oversize           | caller_error   | request_too_large     | request_too_large     | request_too_large     | request_too_large     | request_too_large     | request_too_large     | request_too_large     | request_too_large
books-killed       | ok             | -                     | -                     | -                     | -                     | -                     | -                     | -                     | -
relay-killed       | gateway_error  | relay_lost            | relay_lost            | relay_lost            | relay_lost            | relay_lost            | relay_lost            | relay_lost            | relay_lost
"""  # noqa: E501 - a table
STREAMED = """
row                | outcome        | openai-chat-stream    | openai-completions-stream | openai-embeddings-stream | openai-responses-stream | anthropic-messages-stream | gemini-generate-sse | gemini-generate-array | gemini-embeddings-stream | azure-chat-stream
ok                 | ok             | -                     | -                         | n/a b                    | -                       | -                         | -                   | -                     | n/a b                    | -
provider-400       | caller_error   | unsupported_value     | unsupported_value         | n/a b                    | unsupported_value       | invalid_request_error     | INVALID_ARGUMENT    | INVALID_ARGUMENT      | n/a b                    | content_filter
provider-404       | caller_error   | model_not_found       | model_not_found           | n/a b                    | model_not_found         | not_found_error           | NOT_FOUND           | NOT_FOUND             | n/a b                    | DeploymentNotFound
provider-422       | caller_error   | 422                   | 422                       | n/a b                    | 422                     | invalid_request_error     | FAILED_PRECONDITION | FAILED_PRECONDITION   | n/a b                    | 422
provider-401-own   | caller_error   | invalid_api_key       | invalid_api_key           | n/a b                    | invalid_api_key         | authentication_error      | UNAUTHENTICATED     | UNAUTHENTICATED       | n/a b                    | 401
provider-401-held  | gateway_error  | invalid_api_key       | invalid_api_key           | n/a b                    | invalid_api_key         | authentication_error      | UNAUTHENTICATED     | UNAUTHENTICATED       | n/a b                    | 401
provider-429       | provider_error | insufficient_quota    | insufficient_quota        | n/a b                    | insufficient_quota      | rate_limit_error          | RESOURCE_EXHAUSTED  | RESOURCE_EXHAUSTED    | n/a b                    | 429
provider-5xx       | provider_error | 503                   | 503                       | n/a b                    | 503                     | overloaded_error          | UNAVAILABLE         | UNAVAILABLE           | n/a b                    | InternalServerError
policy-denied      | policy_denied  | invalid_gateway_key   | invalid_gateway_key       | n/a b                    | invalid_gateway_key     | invalid_gateway_key       | invalid_gateway_key | invalid_gateway_key   | n/a b                    | invalid_gateway_key
connect-refused    | provider_error | connection_error      | connection_error          | n/a b                    | connection_error        | connection_error          | connection_error    | connection_error      | n/a b                    | connection_error
connect-timeout    | provider_error | timeout               | timeout                   | n/a b                    | timeout                 | timeout                   | timeout             | timeout               | n/a b                    | timeout
first-byte-timeout | provider_error | timeout               | timeout                   | n/a b                    | timeout                 | timeout                   | timeout             | timeout               | n/a b                    | timeout
cut                | provider_error | stream_interrupted    | stream_interrupted        | n/a b                    | stream_interrupted      | stream_interrupted        | stream_interrupted  | stream_interrupted    | n/a b                    | stream_interrupted
error-event        | provider_error | server_error          | server_error              | n/a b                    | server_error            | overloaded_error          | UNAVAILABLE         | UNAVAILABLE           | n/a b                    | server_error
error-in-200       | provider_error | 502                   | 502                       | n/a b                    | 502                     | api_error                 | INTERNAL            | INTERNAL              | n/a b                    | server_error
left-before-usage  | cancelled      | client_disconnected   | client_disconnected       | n/a b                    | client_disconnected     | client_disconnected       | client_disconnected | client_disconnected   | n/a b                    | client_disconnected
left-after-usage   | cancelled      | client_disconnected   | client_disconnected       | n/a b                    | client_disconnected     | client_disconnected       | client_disconnected | client_disconnected   | n/a b                    | client_disconnected
malformed          | caller_error   | invalid_request       | invalid_request           | n/a b                    | invalid_request         | invalid_request           | invalid_request     | invalid_request       | n/a b                    | invalid_request
oversize           | caller_error   | request_too_large     | request_too_large         | n/a b                    | request_too_large       | request_too_large         | request_too_large   | request_too_large     | n/a b                    | request_too_large
books-killed       | ok             | -                     | -                         | n/a b                    | -                       | -                         | -                   | -                     | n/a b                    | -
relay-killed       | gateway_error  | relay_lost            | relay_lost                | n/a b                    | relay_lost              | relay_lost                | relay_lost          | relay_lost            | n/a b                    | relay_lost
"""  # noqa: E501 - a table
# fmt: on


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell that can exist."""

    row: str
    column: str
    outcome: str
    error_type: str | None

    @property
    def id(self) -> str:
        """The value of the tag `call`."""
        return f"{self.row}.{self.column}"


Grid = list[list[str]]


def grid(text: str) -> Grid:
    """Read a table: its lines, the first one the head, each a list of texts."""
    return [[part.strip() for part in line.split("|")] for line in text.strip().splitlines()]


def cells(*tables: str) -> list[Cell]:
    """List the cells that can exist."""
    return [
        Cell(row, column, outcome, None if text == "-" else text)
        for head, *lines in map(grid, tables)
        for row, outcome, *texts in lines
        for column, text in zip(head[2:], texts, strict=True)
        if not text.startswith("n/a")
    ]


CELLS = cells(PLAIN, STREAMED)
