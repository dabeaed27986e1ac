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


def has_server_failed(receipt: Receipt) -> bool:
    """Say whether the SERVER span failed (HTTP conventions, http-spans.md, "Status").

    A 5xx is a failure and a 4xx is none, whosoever's fault. Below, and where no status was
    written, it is one if the answer did not go well to its end: cut, or left by its caller.
    """
    status = receipt.http_status
    if status is not None and status >= 400:
        return status >= 500
    return receipt.outcome != "ok"


def _from_status(status: int | None) -> str | None:
    return str(status) if status is not None and status >= 400 else None
