"""What went wrong with a call or an attempt, as `error.type`: the same on its span and metrics.

Source: OpenTelemetry "Recording errors" (semantic-conventions, docs/general/recording-errors.md).
The relay has already held a provider's code to the list of known ones; no prose arrives here.
"""

from spanmeter_gateway.receipt import Attempt, Receipt
from spanmeter_gateway.telemetry import names


def call_error(receipt: Receipt) -> str | None:
    """Name the failure of a call; `None` when its outcome is `ok`."""
    if receipt.outcome == "ok":
        return None
    return receipt.error_type or _from_status(receipt.http_status) or names.OTHER_ERROR


def attempt_error(receipt: Receipt, attempt: Attempt) -> str | None:
    """Name the failure of one attempt; `None` when it succeeded.

    The last attempt shares the end of its call: an answer that was cut, or left by its caller,
    did fail although its status was 200.
    """
    error = attempt.error_type or _from_status(attempt.status)
    if error is None and attempt is receipt.attempts[-1]:
        return call_error(receipt)
    return error


def is_server_fault(receipt: Receipt) -> bool:
    """Say whether the SERVER span failed: a 5xx answer, or the fault of gateway or provider.

    Any 4xx leaves the status unset (HTTP conventions, http-spans.md, "Status").
    """
    if receipt.outcome in {"provider_error", "gateway_error"}:
        return True
    return receipt.http_status is not None and receipt.http_status >= 500


def _from_status(status: int | None) -> str | None:
    return str(status) if status is not None and status >= 400 else None
