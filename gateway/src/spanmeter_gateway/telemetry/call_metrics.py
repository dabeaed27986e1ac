"""Which series one receipt moves: the reading of a receipt and its bill as metrics.

Resolving a label set costs far more than adding to its series, so the series of a label set that
was seen before are remembered; a receipt then costs a few dict look-ups and integer additions.
`gen_ai.request.model` and the provider are those of the last attempt, which owes the tokens; only a
call that reached no upstream carries the model its caller asked for.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from spanmeter.usage import Usage
from spanmeter_gateway.bill import Bill
from spanmeter_gateway.receipt import Attempt, Receipt
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.bounded import Bounded
from spanmeter_gateway.telemetry.cells import Counter, Histogram
from spanmeter_gateway.telemetry.failures import attempt_error, call_error

Labels = tuple[str, ...]

# Far above what the cardinality budget lets be exposed; an entry is about 2 KB.
_REMEMBERED_LABEL_SETS = 4096


class Series(Protocol):
    """Where series live: each is made on first use."""

    def counter(self, metric: names.Metric, labels: Labels) -> Counter: ...
    def histogram(self, metric: names.Metric, labels: Labels) -> Histogram: ...


class _ByLabel(dict[str, Counter]):
    """Series that differ in one label, made when that label's value first comes."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[str], Counter]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, value: str) -> Counter:
        cell = self[value] = self._make(value)
        return cell


class _CallCells:
    """The series of one label set of calls; `source` is where its cost comes from."""

    __slots__ = ("calls", "cost", "duration", "tokens", "unmetered", "unpriced")

    def __init__(
        self, series: Series, call: Labels, end: Labels, *, source: str, tags: Labels
    ) -> None:
        feature, _, provider, model, operation = call
        for outcome in names.STARTED_OUTCOMES:
            series.counter(names.CALLS, (*call, outcome, "", *tags))
        self.calls = series.counter(names.CALLS, (*call, *end, *tags))
        self.duration = series.histogram(
            names.CALL_DURATION, (feature, provider, model, operation, end[0], *tags)
        )

        def by_label(metric: names.Metric, *rest: str) -> _ByLabel:
            return _ByLabel(lambda value: series.counter(metric, (*call, value, *rest, *tags)))

        self.tokens = by_label(names.TOKENS)
        self.cost = by_label(names.COST, source)
        self.unpriced = by_label(names.UNPRICED)
        self.unmetered = by_label(names.UNMETERED)


class _AttemptCells:
    """The series of one label set of attempts, but for the usage of an inference."""

    __slots__ = ("attempts", "duration", "usage")

    def __init__(
        self, series: Series, attempts: Counter, genai: Labels, *, error: str, tags: Labels
    ) -> None:
        is_inference = genai[0] not in {"", names.EMBEDDINGS}
        metric = names.INFERENCE_DURATION if is_inference else names.OPERATION_DURATION
        self.attempts = attempts
        self.duration = series.histogram(metric, (*genai, error, *tags))
        self.usage = _UsageCells(series, genai, error, tags=tags) if is_inference else None


class _UsageCells:
    """The series of one label set of inferences: tokens by modality, and what is asked of them.

    The histograms are made when first needed: not every attempt streams or reports its usage.
    """

    __slots__ = (
        "_histogram", "_histograms", "cache_read", "cache_write", "input", "output", "reasoning",
    )  # fmt: skip

    def __init__(self, series: Series, genai: Labels, error: str, *, tags: Labels) -> None:
        def by_modality(metric: names.Metric) -> _ByLabel:
            return _ByLabel(lambda value: series.counter(metric, (*genai, value, *tags)))

        def histogram(metric: names.Metric) -> Histogram:
            errors = (error,) if names.ERROR_TYPE in metric.attributes else ()
            return series.histogram(metric, (*genai, *errors, *tags))

        self._histogram = histogram
        self._histograms: dict[str, Histogram] = {}
        self.input = by_modality(names.INPUT_TOKENS)
        self.output = by_modality(names.OUTPUT_TOKENS)
        self.cache_read = by_modality(names.CACHE_READ_TOKENS)
        self.cache_write = by_modality(names.CACHE_WRITE_TOKENS)
        self.reasoning = by_modality(names.REASONING_TOKENS)

    def record(self, metric: names.Metric, amount: int) -> None:
        """Record one observation."""
        cell = self._histograms.get(metric.name)
        if cell is None:
            cell = self._histograms[metric.name] = self._histogram(metric)
        cell.record(amount)


class CallMetrics:
    """Enter receipts into `series`; `tag_keys` are the tags that become labels."""

    def __init__(self, series: Series, tag_keys: Sequence[str]) -> None:
        self._series = series
        self._place_by_tag = {key: place for place, key in enumerate(tag_keys)}
        self._no_tags = [""] * len(tag_keys)
        self._calls: Bounded[tuple[object, ...], _CallCells] = Bounded(_REMEMBERED_LABEL_SETS)
        self._attempts: Bounded[tuple[object, ...], _AttemptCells] = Bounded(_REMEMBERED_LABEL_SETS)

    def enter(self, receipt: Receipt, bill: Bill) -> None:
        """Count one receipt in every metric that it belongs to."""
        if receipt.violations:
            for reason, _ in receipt.violations:
                self._series.counter(names.TAG_VIOLATIONS, (reason,)).add(1)
        tags = self._tag_labels(receipt)
        if receipt.kind == "passthrough":
            self._enter_passthrough(receipt, tags)
            return
        cells = self._call_cells(receipt, bill, tags)
        cells.calls.add(1)
        cells.duration.record(receipt.duration_ns)
        _enter_bill(cells, receipt, bill)
        for attempt in receipt.attempts:
            self._enter_attempt(receipt, attempt, tags)

    def _tag_labels(self, receipt: Receipt) -> Labels:
        values = self._no_tags.copy()
        for key, value in receipt.tags:
            place = self._place_by_tag.get(key)
            if place is not None and not values[place]:
                values[place] = value
        return tuple(values)

    def _enter_passthrough(self, receipt: Receipt, tags: Labels) -> None:
        provider = receipt.attempts[-1].provider if receipt.attempts else receipt.provider
        labels = (receipt.feature, receipt.task or "", provider or "")
        end = (receipt.outcome, call_error(receipt) or "")
        self._series.counter(names.PASSTHROUGH, (*labels, *end, *tags)).add(1)

    def _call_cells(self, receipt: Receipt, bill: Bill, tags: Labels) -> _CallCells:
        if receipt.attempts:
            last = receipt.attempts[-1]
            provider: str | None = last.provider
            model = last.model or receipt.request_model
        else:
            provider, model = receipt.provider, receipt.request_model
        # The status stands in for an error type that is absent, so it is part of the key.
        key = (
            receipt.feature, receipt.task, provider, model, receipt.operation, tags,
            receipt.outcome, receipt.error_type, receipt.http_status, bill.source,
        )  # fmt: skip
        cells = self._calls.get(key)
        if cells is None:
            texts = (receipt.feature, receipt.task, provider, model, receipt.operation)
            call = tuple(text or "" for text in texts)
            end = (receipt.outcome, call_error(receipt) or "")
            cells = _CallCells(self._series, call, end, source=bill.source or "", tags=tags)
            self._calls.keep(key, cells)
        return cells

    def _enter_attempt(self, receipt: Receipt, attempt: Attempt, tags: Labels) -> None:
        is_last = attempt is receipt.attempts[-1]
        error = attempt_error(receipt, attempt) or ""
        response_model = receipt.response_model if is_last else None
        model = attempt.model or receipt.request_model
        key = (
            receipt.feature, receipt.task, attempt.provider, model, response_model,
            receipt.operation, attempt.server_address, attempt.server_port, error, tags,
        )  # fmt: skip
        cells = self._attempts.get(key)
        if cells is None:
            cells = self._attempts.keep(key, self._attempt_cells(key, tags))
        cells.attempts.add(1)
        cells.duration.record(attempt.duration_ns)
        if cells.usage is None:
            return
        if receipt.stream and attempt.first_chunk_ns is not None:
            cells.usage.record(names.TIME_TO_FIRST, attempt.first_chunk_ns)
        if is_last and receipt.usage is not None:
            _enter_usage(cells.usage, receipt.usage)

    def _attempt_cells(self, key: tuple[object, ...], tags: Labels) -> _AttemptCells:
        texts = tuple("" if value is None else str(value) for value in key[:-1])
        feature, task, provider, model, response_model, operation, address, port, error = texts
        call = (feature, task, provider, model, operation)
        attempts = self._series.counter(names.ATTEMPTS, (*call, error, *tags))
        genai = (operation, provider, model, response_model, address, _port(port), feature)
        return _AttemptCells(self._series, attempts, genai, error=error, tags=tags)


def _port(text: str) -> str:
    return "" if text == "0" else text


def _enter_bill(cells: _CallCells, receipt: Receipt, bill: Bill) -> None:
    for token_class, tokens in bill.tokens:
        cells.tokens[token_class].add(tokens)
    if bill.cost_nanos is not None:
        for token_class, nanos in bill.cost_nanos:
            cells.cost[token_class].add(nanos)
    if bill.unpriced is not None:
        cells.unpriced[bill.unpriced].add(1)
    if receipt.unmetered is not None:
        cells.unmetered[receipt.unmetered].add(1)


def _enter_usage(cells: _UsageCells, usage: Usage) -> None:
    if usage.input_tokens is not None:
        cells.record(names.OPERATION_INPUT, usage.input_tokens)
        split = (usage.input_text_tokens, usage.input_image_tokens, usage.input_audio_tokens)
        _add_by_modality(cells.input, usage.input_tokens, split)
    if usage.output_tokens is not None:
        cells.record(names.OPERATION_OUTPUT, usage.output_tokens)
        split = (usage.output_text_tokens, usage.output_image_tokens, usage.output_audio_tokens)
        _add_by_modality(cells.output, usage.output_tokens, split)
    if usage.cache_read_tokens is not None:
        split = (None, None, usage.cache_read_audio_tokens)
        _add_by_modality(cells.cache_read, usage.cache_read_tokens, split)
    if usage.cache_write_tokens is not None:
        cells.cache_write[names.UNKNOWN_MODALITY].add(usage.cache_write_tokens)
    if usage.reasoning_tokens is not None:
        cells.reasoning[names.UNKNOWN_MODALITY].add(usage.reasoning_tokens)


def _add_by_modality(
    cells: _ByLabel, total: int, split: tuple[int | None, int | None, int | None]
) -> None:
    """Count a total by modality: what the provider split off, and the rest as `unknown`.

    The modalities always add up to the total; a split that exceeds it is not believed.
    """
    text, image, audio = split
    rest = total - (text or 0) - (image or 0) - (audio or 0)
    if rest < 0:
        rest, text, image, audio = total, None, None, None
    if text:
        cells["text"].add(text)
    if image:
        cells["image"].add(image)
    if audio:
        cells["audio"].add(audio)
    if rest:
        cells[names.UNKNOWN_MODALITY].add(rest)
