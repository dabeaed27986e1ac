"""What stands on a span, as attribute names and values: the reading of a receipt as attributes.

Pure, and silent on what is unknown: an attribute is left out, never guessed. Numbers that change
with every call (usage, cost, times) are written by `spans` itself.
"""

from collections.abc import Iterator
from typing import Any

from spanmeter_gateway.bill import Bill
from spanmeter_gateway.receipt import Attempt, Receipt
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.otlp import Value, fits

Pairs = Iterator[tuple[str, Value]]

# Of the Responses API: the answer came whole (platform.openai.com/docs/api-reference/responses).
_FINAL_STATUSES = frozenset({"completed", "incomplete"})
# What OpenAI takes as `n` (platform.openai.com/docs/api-reference/chat/create).
_MOST_CHOICES = 128


def method_name(method: str) -> str:
    """Return a request method as it may stand in a span's name."""
    return method if method in names.HTTP_METHODS else names.OTHER_METHOD_IN_NAME


def speaks_openai(receipt: Receipt, attempt: Attempt) -> bool:
    """Say whether `openai.*` may stand on a span: it has no place on embeddings (openai.md)."""
    return attempt.provider in names.OPENAI_PROVIDERS and receipt.operation != names.EMBEDDINGS


def attribution(receipt: Receipt) -> Pairs:
    """Yield what the caller called the work, and how it ended: on every span of the call."""
    yield names.FEATURE, receipt.feature
    if receipt.task is not None:
        yield names.TASK, receipt.task
    values_by_key: dict[str, list[str]] = {}
    for key, value in receipt.tags:
        values_by_key.setdefault(key, []).append(value)
    for key, values in values_by_key.items():
        yield names.TAG_PREFIX + key, tuple(values)
    if receipt.tags:
        yield names.TAGS, tuple([f"{key}:{value}" for key, value in receipt.tags])
    yield names.OUTCOME, receipt.outcome
    if receipt.key_id is not None:
        yield names.KEY_ID, receipt.key_id
    if receipt.rule is not None:
        yield names.RULE, receipt.rule


def http_server(receipt: Receipt, error: str | None, *, url_scheme: str) -> Pairs:
    """Yield what the caller's HTTP request was. The raw path is not in the receipt."""
    yield from _method(receipt.method)
    yield names.URL_SCHEME, url_scheme
    if receipt.route:
        yield names.HTTP_ROUTE, receipt.route
    if receipt.http_status is not None:
        yield names.HTTP_STATUS, receipt.http_status
    yield names.PROTOCOL_VERSION, receipt.http_version
    yield from _server(receipt.listen_address, receipt.listen_port)
    if error is not None:
        yield names.ERROR_TYPE, error


def http_client(receipt: Receipt, attempt: Attempt, error: str | None) -> Pairs:
    """Yield what was asked of an upstream for a request that is passed through."""
    yield from _method(receipt.method)
    if attempt.status is not None:
        yield names.HTTP_STATUS, attempt.status
    if attempt.retries:
        yield names.HTTP_RESEND_COUNT, attempt.retries
    yield from _server(attempt.server_address, attempt.server_port)
    if error is not None:
        yield names.ERROR_TYPE, error


def inference(receipt: Receipt, attempt: Attempt, error: str | None, *, usage_source: str) -> Pairs:
    """Yield what was asked of a model; the same for inference and embeddings."""
    if receipt.operation is not None:
        yield names.OPERATION, receipt.operation
    yield names.PROVIDER, attempt.provider
    model = attempt.model or receipt.request_model
    if model is not None:
        yield names.REQUEST_MODEL, model
    if receipt.request_model not in {None, model}:
        yield names.MODEL_ALIAS, str(receipt.request_model)
    yield from _server(attempt.server_address, attempt.server_port)
    if attempt.provider in names.AZURE_NAMESPACE_BY_PROVIDER:
        yield names.AZURE_NAMESPACE, names.AZURE_NAMESPACE_BY_PROVIDER[attempt.provider]
    if receipt.stream and receipt.operation != names.EMBEDDINGS:
        yield names.REQUEST_STREAM, True
    if receipt.api_type is not None and speaks_openai(receipt, attempt):
        yield names.OPENAI_API_TYPE, receipt.api_type
    yield names.USAGE_SOURCE, usage_source
    if error is not None:
        yield names.ERROR_TYPE, error


def parameters(receipt: Receipt, *, is_openai: bool) -> Pairs:
    """Yield the settings that the request carried, each in the type of the conventions."""
    is_embeddings = receipt.operation == names.EMBEDDINGS
    for short, sent in receipt.parameters.items():
        name, kind = names.PARAMETERS.get(short, ("", None))
        if kind is None or sent == names.PARAMETER_DEFAULTS.get(short):
            continue
        if (short in names.EMBEDDINGS_PARAMETERS) is not is_embeddings:
            continue
        if name == names.OPENAI_REQUEST_TIER and not is_openai:
            continue
        value = _typed(sent, kind)
        if value is not None:
            yield name, value


def answer(
    receipt: Receipt, bill: Bill, *, finish_reasons: tuple[str, ...], is_openai: bool
) -> Pairs:
    """Yield what the answer said about itself, and where its cost comes from."""
    if receipt.response_model is not None:
        yield names.RESPONSE_MODEL, receipt.response_model
    if finish_reasons:
        yield names.FINISH_REASONS, finish_reasons
    if is_openai and receipt.service_tier is not None:
        yield names.OPENAI_RESPONSE_TIER, receipt.service_tier
    if is_openai and receipt.system_fingerprint is not None:
        yield names.OPENAI_FINGERPRINT, receipt.system_fingerprint
    if bill.cost_nanos is None:
        return
    yield names.COST_CURRENCY, names.CURRENCY
    if bill.source is not None:
        yield names.COST_SOURCE, bill.source
    if bill.price_version is not None:
        yield names.COST_PRICE_VERSION, bill.price_version


def finish_reasons_of(receipt: Receipt, attempt: Attempt) -> tuple[str, ...]:
    """Return the finish reasons, `error` standing for each that was expected and never came.

    None is expected where the provider refused, nor of the Responses API, which has a status
    instead, once that is final.
    """
    reasons = receipt.finish_reasons or ()
    if receipt.operation == names.EMBEDDINGS:
        return ()
    is_refused = attempt.status is not None and attempt.status >= 300
    if receipt.outcome == "ok" or is_refused or receipt.response_status in _FINAL_STATUSES:
        return reasons
    missing = (names.FINISH_ERROR,) * (_choices(receipt) - len(reasons))
    return (*[reason or names.FINISH_ERROR for reason in reasons], *missing)


def dropped_tags(receipt: Receipt) -> Pairs:
    """Yield the attributes of the event that tells which tags were dropped, and why."""
    yield names.DROPPED_COUNT, len(receipt.violations)
    yield names.DROPPED_REASONS, tuple([reason for reason, _ in receipt.violations])
    yield names.DROPPED_SOURCES, tuple([source for _, source in receipt.violations])


def _choices(receipt: Receipt) -> int:
    asked = receipt.parameters.get("choice_count")
    return asked if isinstance(asked, int) and 1 <= asked <= _MOST_CHOICES else 1


def _method(method: str) -> Pairs:
    if method in names.HTTP_METHODS:
        yield names.HTTP_METHOD, method
    else:
        yield names.HTTP_METHOD, names.OTHER_METHOD
        yield names.HTTP_METHOD_ORIGINAL, method


def _server(address: str, port: int) -> Pairs:
    if address:
        yield names.SERVER_ADDRESS, address
        if port:
            yield names.SERVER_PORT, port


def _typed(sent: Any, kind: names.ParameterKind) -> Value | None:
    """Return a setting in its type; `None` for one that does not have it."""
    if isinstance(sent, str):
        return sent if kind == "string" else (sent,) if kind == "strings" else None
    if isinstance(sent, bool) or not isinstance(sent, int | float):
        return None
    if kind == "double":
        return float(sent) if isinstance(sent, float) or fits(sent) else None
    is_whole = isinstance(sent, int) or sent.is_integer()
    return int(sent) if kind == "int" and is_whole and fits(int(sent)) else None
