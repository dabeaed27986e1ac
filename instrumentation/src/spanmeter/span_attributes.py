"""What stands on the span of one call to a model, as attribute names and values.

Pure, and silent on what is unknown: an attribute is left out, never guessed. What a call and an
attempt are is said as protocols: the gateway reads its receipts, an application what it saw.
Numbers that change with every call (usage, times) are written by whoever prints the span.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from spanmeter import semconv
from spanmeter.outcome import Outcome

Value = str | bool | int | float | tuple[str, ...]
"""What an attribute may be. An `int` must fit 64 bits with sign, as `fits` tells."""
Pairs = Iterator[tuple[str, Value]]

# Of the Responses API: the answer came whole (platform.openai.com/docs/api-reference/responses).
_FINAL_STATUSES = frozenset({"completed", "incomplete"})
# What OpenAI takes as `n` (platform.openai.com/docs/api-reference/chat/create).
_MOST_CHOICES = 128


class Attempt(Protocol):
    """One try at one upstream."""

    @property
    def provider(self) -> str: ...
    @property
    def model(self) -> str | None: ...
    @property
    def server_address(self) -> str: ...
    @property
    def server_port(self) -> int: ...
    @property
    def status(self) -> int | None: ...


class Call(Protocol):
    """A call, ended. The fields are those of a receipt (docs/receipt.md)."""

    @property
    def feature(self) -> str: ...
    @property
    def task(self) -> str | None: ...
    @property
    def tags(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def outcome(self) -> Outcome: ...
    @property
    def operation(self) -> str | None: ...
    @property
    def api_type(self) -> str | None: ...
    @property
    def request_model(self) -> str | None: ...
    @property
    def response_model(self) -> str | None: ...
    @property
    def stream(self) -> bool: ...
    @property
    def parameters(self) -> Mapping[str, Any]: ...
    @property
    def finish_reasons(self) -> tuple[str, ...] | None: ...
    @property
    def response_status(self) -> str | None: ...
    @property
    def service_tier(self) -> str | None: ...
    @property
    def system_fingerprint(self) -> str | None: ...


def fits(number: int) -> bool:
    """Say whether an integer can be an attribute."""
    return -(1 << 63) <= number < 1 << 63


def speaks_openai(call: Call, attempt: Attempt) -> bool:
    """Say whether `openai.*` may stand on a span: it has no place on embeddings (openai.md)."""
    return attempt.provider in semconv.OPENAI_PROVIDERS and call.operation != semconv.EMBEDDINGS


def attribution(call: Call) -> Pairs:
    """Yield what the caller called the work, and how it ended: on every span of the call."""
    yield semconv.FEATURE, call.feature
    if call.task is not None:
        yield semconv.TASK, call.task
    values_by_key: dict[str, list[str]] = {}
    for key, value in call.tags:
        values_by_key.setdefault(key, []).append(value)
    for key, values in values_by_key.items():
        yield semconv.TAG_PREFIX + key, tuple(values)
    if call.tags:
        yield semconv.TAGS, tuple([f"{key}:{value}" for key, value in call.tags])
    yield semconv.OUTCOME, call.outcome


def inference(call: Call, attempt: Attempt, error: str | None, *, usage_source: str) -> Pairs:
    """Yield what was asked of a model; the same for inference and embeddings."""
    if call.operation is not None:
        yield semconv.OPERATION, call.operation
    yield semconv.PROVIDER, attempt.provider
    model = attempt.model or call.request_model
    if model is not None:
        yield semconv.REQUEST_MODEL, model
    if call.request_model not in {None, model}:
        yield semconv.MODEL_ALIAS, str(call.request_model)
    yield from server(attempt.server_address, attempt.server_port)
    if attempt.provider in semconv.AZURE_NAMESPACE_BY_PROVIDER:
        yield semconv.AZURE_NAMESPACE, semconv.AZURE_NAMESPACE_BY_PROVIDER[attempt.provider]
    if call.stream and call.operation != semconv.EMBEDDINGS:
        yield semconv.REQUEST_STREAM, True
    if call.api_type is not None and speaks_openai(call, attempt):
        yield semconv.OPENAI_API_TYPE, call.api_type
    yield semconv.USAGE_SOURCE, usage_source
    if error is not None:
        yield semconv.ERROR_TYPE, error


def parameters(call: Call, *, is_openai: bool) -> Pairs:
    """Yield the settings that the request carried, each in the type of the conventions."""
    is_embeddings = call.operation == semconv.EMBEDDINGS
    for short, sent in call.parameters.items():
        name, kind = semconv.PARAMETERS.get(short, ("", None))
        if kind is None or sent == semconv.PARAMETER_DEFAULTS.get(short):
            continue
        if (short in semconv.EMBEDDINGS_PARAMETERS) is not is_embeddings:
            continue
        if name == semconv.OPENAI_REQUEST_TIER and not is_openai:
            continue
        value = _typed(sent, kind)
        if value is not None:
            yield name, value


def answer(call: Call, *, finish_reasons: tuple[str, ...], is_openai: bool) -> Pairs:
    """Yield what the answer said about itself."""
    if call.response_model is not None:
        yield semconv.RESPONSE_MODEL, call.response_model
    if finish_reasons:
        yield semconv.FINISH_REASONS, finish_reasons
    if is_openai and call.service_tier is not None:
        yield semconv.OPENAI_RESPONSE_TIER, call.service_tier
    if is_openai and call.system_fingerprint is not None:
        yield semconv.OPENAI_FINGERPRINT, call.system_fingerprint


def finish_reasons_of(call: Call, attempt: Attempt) -> tuple[str, ...]:
    """Return the finish reasons, `error` standing for each that was expected and never came.

    None is expected where the provider refused, nor of the Responses API, which has a status
    instead, once that is final.
    """
    reasons = call.finish_reasons or ()
    if call.operation == semconv.EMBEDDINGS:
        return ()
    is_refused = attempt.status is not None and attempt.status >= 300
    if call.outcome == "ok" or is_refused or call.response_status in _FINAL_STATUSES:
        return reasons
    missing = (semconv.FINISH_ERROR,) * (_choices(call) - len(reasons))
    return (*[reason or semconv.FINISH_ERROR for reason in reasons], *missing)


def _choices(call: Call) -> int:
    asked = call.parameters.get("choice_count")
    return asked if isinstance(asked, int) and 1 <= asked <= _MOST_CHOICES else 1


def server(address: str, port: int) -> Pairs:
    """Yield who was asked; nothing without an address, and no port 0."""
    if address:
        yield semconv.SERVER_ADDRESS, address
        if port:
            yield semconv.SERVER_PORT, port


def _typed(sent: Any, kind: semconv.ParameterKind) -> Value | None:
    """Return a setting in its type; `None` for one that does not have it."""
    if isinstance(sent, str):
        return sent if kind == "string" else (sent,) if kind == "strings" else None
    if isinstance(sent, bool) or not isinstance(sent, int | float):
        return None
    if kind == "double":
        return float(sent) if isinstance(sent, float) or fits(sent) else None
    is_whole = isinstance(sent, int) or sent.is_integer()
    return int(sent) if kind == "int" and is_whole and fits(int(sent)) else None
