"""Which series one receipt moves: the reading of a receipt and its bill as label sets.

`gen_ai.request.model` and the provider are those of the last attempt, which owes the tokens; only a
call that reached no upstream carries the model its caller asked for. What callers choose is a
`Breakdown`, and is counted as `Series.settle` says. It is asked about every attempt, and about a
call that has none: it counts traffic, and its word may change from one call to the next, which is
why series are remembered under the settled breakdown.
"""

from collections.abc import Sequence

from spanmeter_gateway.bill import Bill
from spanmeter_gateway.receipt import Attempt, Receipt
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.bounded import Bounded
from spanmeter_gateway.telemetry.breakdown import Breakdown
from spanmeter_gateway.telemetry.call_cells import AttemptCells, CallCells, Labels, Series
from spanmeter_gateway.telemetry.cells import Histogram, Origin
from spanmeter_gateway.telemetry.failures import attempt_error, call_error
from spanmeter_gateway.telemetry.metric import DEFAULT_SETTINGS, MetricSettings

# Far above what the cardinality budget lets be exposed; an entry is about 3 KB.
_REMEMBERED_LABEL_SETS = 4096
_CUT = names.MAX_LABEL_CHARS

_Key = tuple[object, ...]


class CallMetrics:
    """Enter receipts into `series`; `tag_keys` are the tags that become labels."""

    def __init__(
        self,
        series: Series,
        tag_keys: Sequence[str],
        settings: MetricSettings = DEFAULT_SETTINGS,
    ) -> None:
        self._series = series
        self._settings = settings
        self._place_by_tag = {key: place for place, key in enumerate(tag_keys)}
        self._no_tags = [""] * len(tag_keys)
        self._calls: Bounded[_Key, CallCells] = Bounded(_REMEMBERED_LABEL_SETS)
        self._attempts: Bounded[_Key, AttemptCells] = Bounded(_REMEMBERED_LABEL_SETS)
        self._requests: Bounded[_Key, Histogram] = Bounded(_REMEMBERED_LABEL_SETS)

    def enter(self, receipt: Receipt, bill: Bill) -> None:
        """Count one receipt in every metric that it belongs to."""
        for reason, _ in receipt.violations:
            self._series.counter(names.TAG_VIOLATIONS, (reason,)).add(1)
        origin = self._origin(receipt)
        self._request(receipt).record(receipt.duration_ns, origin)
        tags = self._tag_labels(receipt)
        if receipt.kind == "passthrough":
            self._enter_passthrough(receipt, tags)
            return
        breakdown = None
        for attempt in receipt.attempts:
            ended_at_ns = attempt.started_at_ns + attempt.duration_ns
            span = origin and Origin(origin.trace_id, attempt.span_id, ended_at_ns)
            breakdown = self._enter_attempt(receipt, attempt, tags=tags, origin=span)
        if breakdown is None:
            breakdown = self._settle(receipt, tags, model=receipt.request_model)
        self._call_cells(receipt, bill, breakdown).enter(receipt, bill, origin)

    def _origin(self, receipt: Receipt) -> Origin | None:
        """Return the SERVER span, or `None` where the call makes no exemplars."""
        wanted = self._settings.exemplar_filter
        if wanted == "always_off" or not (receipt.trace.sampled or wanted == "always_on"):
            return None
        trace = receipt.trace
        return Origin(trace.trace_id, trace.span_id, receipt.started_at_ns + receipt.duration_ns)

    def _tag_labels(self, receipt: Receipt) -> Labels:
        values = self._no_tags.copy()
        for key, value in receipt.tags:
            place = self._place_by_tag.get(key)
            if place is not None and not values[place]:
                values[place] = value[:_CUT]
        return tuple(values)

    def _settle(
        self,
        receipt: Receipt,
        tags: Labels,
        *,
        model: str | None,
        response_model: str | None = None,
    ) -> Breakdown:
        # Cut before it is settled: what differs beyond the cut is one value, of one budget.
        breakdown = Breakdown(
            receipt.feature[:_CUT],
            receipt.task[:_CUT] if receipt.task else "",
            model[:_CUT] if model else "",
            response_model[:_CUT] if response_model else "",
            tags,
        )
        return self._series.settle(breakdown)

    def _request(self, receipt: Receipt) -> Histogram:
        error = call_error(receipt)
        key = (receipt.method, error, receipt.http_status, receipt.route, receipt.http_version)
        cell = self._requests.get(key)
        if cell is None:
            is_known = receipt.method in names.HTTP_METHODS
            labels = (
                receipt.method if is_known else names.OTHER_METHOD, self._settings.url_scheme,
                error or "", _text(receipt.http_status), receipt.route, receipt.http_version,
            )  # fmt: skip
            cell = self._series.histogram(names.HTTP_SERVER_DURATION, labels)
            self._requests.keep(key, cell)
        return cell

    def _enter_passthrough(self, receipt: Receipt, tags: Labels) -> None:
        provider = receipt.attempts[-1].provider if receipt.attempts else receipt.provider
        # Its series have no label for a model, so that none uses up a budget.
        breakdown = self._settle(receipt, tags, model=None)
        labels = (breakdown.feature, breakdown.task, provider or "")
        end = (receipt.outcome, call_error(receipt) or "")
        self._series.counter(names.PASSTHROUGH, (*labels, *end, *breakdown.tags)).add(1)

    def _call_cells(self, receipt: Receipt, bill: Bill, breakdown: Breakdown) -> CallCells:
        provider = receipt.attempts[-1].provider if receipt.attempts else receipt.provider
        # The status stands in for an error type that is absent, so it is part of the key.
        key = (
            breakdown, provider, receipt.operation, receipt.outcome, receipt.error_type,
            receipt.http_status, bill.source,
        )  # fmt: skip
        cells = self._calls.get(key)
        if cells is None:
            call = _call_labels(breakdown, provider, receipt.operation)
            end = (receipt.outcome, call_error(receipt) or "")
            cells = CallCells(
                self._series, call, end, source=bill.source or "", tags=breakdown.tags
            )
            self._calls.keep(key, cells)
        return cells

    def _enter_attempt(
        self, receipt: Receipt, attempt: Attempt, *, tags: Labels, origin: Origin | None
    ) -> Breakdown:
        is_last = attempt is receipt.attempts[-1]
        breakdown = self._settle(
            receipt,
            tags,
            model=attempt.model or receipt.request_model,
            response_model=receipt.response_model if is_last else None,
        )
        error = attempt_error(receipt, attempt) or ""
        key = (
            breakdown, attempt.provider, receipt.operation, attempt.server_address,
            attempt.server_port, error,
        )  # fmt: skip
        cells = self._attempts.get(key)
        if cells is None:
            cells = self._attempt_cells(receipt, attempt, breakdown)
            self._attempts.keep(key, cells)
        cells.enter(receipt, attempt, origin)
        return breakdown

    def _attempt_cells(
        self, receipt: Receipt, attempt: Attempt, breakdown: Breakdown
    ) -> AttemptCells:
        error = attempt_error(receipt, attempt) or ""
        call = _call_labels(breakdown, attempt.provider, receipt.operation)
        attempts = self._series.counter(names.ATTEMPTS, (*call, error, *breakdown.tags))
        genai = (
            receipt.operation or "", attempt.provider, breakdown.request_model,
            breakdown.response_model, attempt.server_address, _text(attempt.server_port or None),
            breakdown.feature,
        )  # fmt: skip
        return AttemptCells(
            self._series, attempts, genai,
            error=error, tags=breakdown.tags, semconv=self._settings.semconv,
        )  # fmt: skip


def _call_labels(breakdown: Breakdown, provider: str | None, operation: str | None) -> Labels:
    feature, task, model, _, _ = breakdown
    return (feature, task, provider or "", model, operation or "")


def _text(number: int | None) -> str:
    return "" if number is None else str(number)
