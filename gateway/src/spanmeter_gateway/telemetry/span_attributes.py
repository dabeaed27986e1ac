"""What stands on a span, as attribute names and values: the reading of a receipt as attributes.

Pure, and silent on what is unknown: an attribute is left out, never guessed. Numbers that change
with every call (usage, cost, times) are written by `spans` itself.
"""

from spanmeter import span_attributes
from spanmeter.span_attributes import (
    Pairs,
    finish_reasons_of,
    inference,
    parameters,
    server,
    speaks_openai,
)
from spanmeter_gateway.bill import Bill
from spanmeter_gateway.receipt import Attempt, Receipt
from spanmeter_gateway.telemetry import names

__all__ = ["Pairs", "finish_reasons_of", "inference", "parameters", "speaks_openai"]


def method_name(method: str) -> str:
    """Return a request method as it may stand in a span's name."""
    return method if method in names.HTTP_METHODS else names.OTHER_METHOD_IN_NAME


def attribution(receipt: Receipt) -> Pairs:
    """Yield what the caller called the work, and how it ended: on every span of the call."""
    yield from span_attributes.attribution(receipt)
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
    yield from server(receipt.listen_address, receipt.listen_port)
    if error is not None:
        yield names.ERROR_TYPE, error


def http_client(receipt: Receipt, attempt: Attempt, error: str | None) -> Pairs:
    """Yield what was asked of an upstream for a request that is passed through."""
    yield from _method(receipt.method)
    if attempt.status is not None:
        yield names.HTTP_STATUS, attempt.status
    if attempt.retries:
        yield names.HTTP_RESEND_COUNT, attempt.retries
    yield from server(attempt.server_address, attempt.server_port)
    if error is not None:
        yield names.ERROR_TYPE, error


def answer(
    receipt: Receipt, bill: Bill, *, finish_reasons: tuple[str, ...], is_openai: bool
) -> Pairs:
    """Yield what the answer said about itself, and where its cost comes from."""
    yield from span_attributes.answer(receipt, finish_reasons=finish_reasons, is_openai=is_openai)
    if bill.cost_nanos is None:
        return
    yield names.COST_CURRENCY, names.CURRENCY
    if bill.source is not None:
        yield names.COST_SOURCE, bill.source
    if bill.price_version is not None:
        yield names.COST_PRICE_VERSION, bill.price_version


def dropped_tags(receipt: Receipt) -> Pairs:
    """Yield the attributes of the event that tells which tags were dropped, and why."""
    yield names.DROPPED_COUNT, len(receipt.violations)
    yield names.DROPPED_REASONS, tuple([reason for reason, _ in receipt.violations])
    yield names.DROPPED_SOURCES, tuple([source for _, source in receipt.violations])


def _method(method: str) -> Pairs:
    if method in names.HTTP_METHODS:
        yield names.HTTP_METHOD, method
    else:
        yield names.HTTP_METHOD, names.OTHER_METHOD
        yield names.HTTP_METHOD_ORIGINAL, method
