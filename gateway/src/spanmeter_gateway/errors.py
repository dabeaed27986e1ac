"""Everything the gateway raises on purpose: one tree, split first by whose fault it is.

SpanmeterError                    (in the light package)
+- GatewayError                   status (HTTP), code (stable slug), type, message (what to do)
   +- StartError                  ours, at start-up only: a port in use, a folder in use
   |  +- ConfigError              the configuration file; all its problems at once
   +- BooksUnreachable            `spanmeter top` cannot read the metrics
   +- CannotCompile               `spanmeter compile` lacks something
   +- StaleRules                  `spanmeter rules build --check`: slo.yaml says something else
   +- CallerError                 4xx; nothing was sent upstream, nothing is owed
   |  +- MalformedBody, MalformedRequest, InvalidProvider, AzureConfigMissing, InvalidTag 400
   |  +- InvalidGatewayKey 401
   |  +- UnknownPath 404   MethodNotAllowed 405   RequestTimeout 408
   |  +- BodyTooLarge 413
   +- UpstreamError               the other side's; names the upstream
   |  +- UpstreamBroken 502   UpstreamUnreachable 503   UpstreamTimeout 504
   |  +- StreamInterrupted        after the first byte: the caller keeps its status
   +- GatewayBusy 503             ours, for now: a limit of this worker is reached
   |  +- ConnectionsExhausted      one upstream's limit of connections
   +- ProxyFailed 503             the egress proxy makes no tunnel

Texts name what to do and never quote a body, a key or a provider's answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from spanmeter.errors import SpanmeterError


class GatewayError(SpanmeterError):
    """Root of the gateway's errors; becomes `{"error": {"message", "type", "code"}}`."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "api_error"
    code: str = "gateway_error"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class StartError(GatewayError):
    """Say why the gateway does not start, and what to do about it."""

    code = "start"


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing wrong in one place; `key` is the dotted path, empty for the file as a whole."""

    file: str
    key: str
    problem: str

    def __str__(self) -> str:
        """Write the problem as one line, file first."""
        return ": ".join(part for part in (self.file, self.key, self.problem) if part)


class ConfigError(StartError):
    """Refuse a configuration, naming everything that is wrong with it."""

    code = "config"

    def __init__(self, problems: Sequence[ConfigProblem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class BooksUnreachable(GatewayError):
    """No metrics could be read at the books' address."""

    code = "books_unreachable"


class StaleRules(GatewayError):
    """Rule files are not those that `slo.yaml` makes."""

    code = "stale_rules"


class CannotCompile(GatewayError):
    """Say what the compiler lacks."""

    code = "cannot_compile"


class CallerError(GatewayError):
    """The caller must change the request."""

    status = 400
    type = "invalid_request_error"


class MalformedBody(CallerError):
    """The body is not a JSON object with a model."""

    code = "invalid_request"


class MalformedRequest(CallerError):
    """The body breaks HTTP's framing after the head was well-formed."""

    code = "malformed_http"


class MethodNotAllowed(CallerError):
    """The method would show the caller what we add to its request."""

    status = 405
    code = "method_not_allowed"


class RequestTimeout(CallerError):
    """The body does not come, or comes too slowly."""

    status = 408
    code = "request_timeout"


class UnknownPath(CallerError):
    """No upstream and no dialect lives at this path."""

    status = 404
    code = "unknown_path"


class InvalidProvider(CallerError):
    """`X-Provider` names no provider that we know; the message names the valid values."""

    code = "invalid_provider"


class AzureConfigMissing(CallerError):
    """Azure has no address of its own: an upstream and an API version must be configured."""

    code = "azure_config_missing"


class InvalidTag(CallerError):
    """Strict mode refuses a tag; `code` is `invalid_tag` or `too_many_tags`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message, param="tags")
        self.code = code


class InvalidGatewayKey(CallerError):
    """Gateway keys are configured, and the request carries none of them."""

    status = 401
    code = "invalid_gateway_key"


class BodyTooLarge(CallerError):
    """The request body is over the configured limit."""

    status = 413
    code = "request_too_large"


class UpstreamError(GatewayError):
    """The provider failed us."""

    status = 502

    def __init__(self, message: str, *, upstream: str) -> None:
        super().__init__(message)
        self.upstream = upstream


class UpstreamBroken(UpstreamError):
    """The answer breaks the protocol."""

    code = "provider_bad_response"


class UpstreamUnreachable(UpstreamError):
    """No connection could be made."""

    status = 503
    code = "provider_unreachable"


class UpstreamTimeout(UpstreamError):
    """Nothing came within the time allowed."""

    status = 504
    code = "provider_timeout"


class StreamInterrupted(UpstreamError):
    """The answer stopped after it had begun; too late for a status, the receipt records it."""

    code = "stream_interrupted"


class GatewayBusy(GatewayError):
    """This worker is at a limit of its own; another try soon may succeed."""

    status = 503
    code = "gateway_busy"


class ConnectionsExhausted(GatewayBusy):
    """All connections that an upstream may have stayed busy."""

    code = "connections_exhausted"


class ProxyFailed(GatewayError):
    """The operator's egress proxy is away, or refuses us: no fault of the provider."""

    status = 503
    code = "proxy_error"
