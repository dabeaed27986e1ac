"""The series that one label set of calls, or of attempts, moves, and how one receipt moves them.

Resolving a label set costs far more than adding to its series, so `call_metrics` remembers these.
What not every call needs (a price, a stream, a split by modality) is made when it first comes.
"""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from spanmeter.usage import Usage
from spanmeter_gateway.bill import Bill
from spanmeter_gateway.receipt import Attempt, Receipt
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.breakdown import Breakdown
from spanmeter_gateway.telemetry.cells import Cell, Counter, Histogram, Origin
from spanmeter_gateway.telemetry.metric import Semconv

Labels = tuple[str, ...]
_AnyCell = TypeVar("_AnyCell", bound=Cell)


class Series(Protocol):
    """Where series live: each is made on first use; of a metric that is off it is a silent one."""

    def counter(self, metric: names.Metric, labels: Labels) -> Counter: ...
    def histogram(self, metric: names.Metric, labels: Labels) -> Histogram: ...
    def settle(self, breakdown: Breakdown) -> Breakdown: ...


class _ByLabel(dict[str, _AnyCell], Generic[_AnyCell]):
    """Series that differ in one label, made when that label's value first comes."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[str], _AnyCell]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, value: str) -> _AnyCell:
        cell = self[value] = self._make(value)
        return cell


class _OnDemand:
    """A histogram that is made with its first observation."""

    __slots__ = ("_cell", "_make")

    def __init__(self, make: Callable[[], Histogram]) -> None:
        self._make = make
        self._cell: Histogram | None = None

    @property
    def cell(self) -> Histogram:
        """The histogram, made if it was not."""
        if self._cell is None:
            self._cell = self._make()
        return self._cell

    def record(self, amount: int, origin: Origin | None) -> None:
        """Record one observation."""
        self.cell.record(amount, origin)


class CallCells:
    """The series of one label set of calls."""

    __slots__ = (
        "_calls", "_cost", "_duration", "_operation_cost", "_tokens", "_unmetered", "_unpriced",
    )  # fmt: skip

    def __init__(
        self, series: Series, call: Labels, end: Labels, *, source: str, tags: Labels
    ) -> None:
        """`end` is outcome and error type; `source` is where the cost comes from."""
        feature, _, provider, model, operation = call
        own = (feature, provider, model, operation)
        for outcome in names.STARTED_OUTCOMES:
            series.counter(names.CALLS, (*call, outcome, "", *tags))
        self._calls = series.counter(names.CALLS, (*call, *end, *tags))
        self._duration = series.histogram(names.CALL_DURATION, (*own, end[0], *tags))
        self._operation_cost = _OnDemand(
            lambda: series.histogram(names.OPERATION_COST, (*own, *tags))
        )

        def by_label(metric: names.Metric, *rest: str) -> _ByLabel[Counter]:
            return _ByLabel(lambda value: series.counter(metric, (*call, value, *rest, *tags)))

        self._tokens = by_label(names.TOKENS)
        self._cost = by_label(names.COST, source)
        self._unpriced = by_label(names.UNPRICED)
        self._unmetered = by_label(names.UNMETERED)

    def enter(self, receipt: Receipt, bill: Bill, origin: Origin | None) -> None:
        """Count one call and what it owes."""
        self._calls.add(1, origin)
        self._duration.record(receipt.duration_ns, origin)
        for token_class, tokens in bill.tokens:
            self._tokens[token_class].add(tokens)
        if bill.cost_nanos is not None:
            cost_nanos = 0
            for token_class, nanos in bill.cost_nanos:
                self._cost[token_class].add(nanos)
                cost_nanos += nanos
            self._operation_cost.record(cost_nanos, origin)
        if bill.unpriced is not None:
            self._unpriced[bill.unpriced].add(1)
        if receipt.unmetered is not None:
            self._unmetered[receipt.unmetered].add(1)


class AttemptCells:
    """The series of one label set of attempts; `genai` is `names.OPERATION` to `names.FEATURE`."""

    __slots__ = ("_attempts", "_by_type", "_durations", "_inference")

    def __init__(
        self, series: Series, attempts: Counter, genai: Labels, *, error: str, tags: Labels,
        semconv: Semconv,
    ) -> None:  # fmt: skip
        is_inference = genai[0] not in {"", names.EMBEDDINGS}
        metrics = [names.INFERENCE_DURATION] if is_inference else [names.OPERATION_DURATION]
        if is_inference and semconv != "latest":
            metrics.append(names.OPERATION_DURATION)
        self._attempts = attempts
        self._durations = [series.histogram(metric, (*genai, error, *tags)) for metric in metrics]
        self._by_type: _ByLabel[Histogram] = _ByLabel(
            lambda kind: series.histogram(names.TOKEN_USAGE, (*genai, kind, *tags))
        )
        self._inference = _InferenceCells(series, genai, error, tags=tags) if is_inference else None

    def enter(self, receipt: Receipt, attempt: Attempt, origin: Origin | None) -> None:
        """Count one attempt; the last one has the usage that the receipt tells."""
        self._attempts.add(1, origin)
        for duration in self._durations:
            duration.record(attempt.duration_ns, origin)
        inference = self._inference
        if inference is not None and receipt.stream and attempt.first_chunk_ns is not None:
            for first_chunk in inference.first_chunk:
                first_chunk.record(attempt.first_chunk_ns, origin)
        if inference is not None and attempt.chunk_times:
            inference.chunk_time.cell.merge(list(attempt.chunk_times))
        usage = receipt.usage
        if usage is None or attempt is not receipt.attempts[-1]:
            return
        if usage.input_tokens is not None:
            self._by_type["input"].record(usage.input_tokens, origin)
        if usage.output_tokens is not None:
            self._by_type["output"].record(usage.output_tokens, origin)
        if inference is not None:
            inference.enter(usage, origin)


class _InferenceCells:
    """The series that only inferences have: their first chunk, and tokens by modality."""

    __slots__ = (
        "_cache_read", "_cache_write", "_input", "_input_size", "_output", "_output_size",
        "_reasoning", "chunk_time", "first_chunk",
    )  # fmt: skip

    def __init__(self, series: Series, genai: Labels, error: str, *, tags: Labels) -> None:
        def by_modality(metric: names.Metric) -> _ByLabel[Counter]:
            return _ByLabel(lambda value: series.counter(metric, (*genai, value, *tags)))

        def histogram(metric: names.Metric) -> _OnDemand:
            errors = (error,) if names.ERROR_TYPE in metric.attributes else ()
            return _OnDemand(lambda: series.histogram(metric, (*genai, *errors, *tags)))

        self.first_chunk = [
            histogram(names.TIME_TO_FIRST), histogram(names.OPERATION_TIME_TO_FIRST)
        ]  # fmt: skip
        self.chunk_time = histogram(names.TIME_PER_CHUNK)
        self._input_size = histogram(names.OPERATION_INPUT)
        self._output_size = histogram(names.OPERATION_OUTPUT)
        self._input = by_modality(names.INPUT_TOKENS)
        self._output = by_modality(names.OUTPUT_TOKENS)
        self._cache_read = by_modality(names.CACHE_READ_TOKENS)
        self._cache_write = by_modality(names.CACHE_WRITE_TOKENS)
        self._reasoning = by_modality(names.REASONING_TOKENS)
        if error:
            # GENAI gen-ai-token-metrics.md: the counters of a failed inference are recorded too,
            # with the count that was reported or with 0. 0 is the series that begins; to the
            # histograms it would be an observation, of a usage that nobody knows.
            for counters in (self._input, self._output):
                counters[names.UNKNOWN_MODALITY].add(0)

    def enter(self, usage: Usage, origin: Origin | None) -> None:
        """Count what a provider reported; what it did not report is not 0."""
        if usage.input_tokens is not None:
            self._input_size.record(usage.input_tokens, origin)
            split = (usage.input_text_tokens, usage.input_image_tokens, usage.input_audio_tokens)
            _add_by_modality(self._input, usage.input_tokens, split)
        if usage.output_tokens is not None:
            self._output_size.record(usage.output_tokens, origin)
            split = (usage.output_text_tokens, usage.output_image_tokens, usage.output_audio_tokens)
            _add_by_modality(self._output, usage.output_tokens, split)
        if usage.cache_read_tokens is not None:
            split = (None, None, usage.cache_read_audio_tokens)
            _add_by_modality(self._cache_read, usage.cache_read_tokens, split)
        if usage.cache_write_tokens is not None:
            self._cache_write[names.UNKNOWN_MODALITY].add(usage.cache_write_tokens)
        if usage.reasoning_tokens is not None:
            self._reasoning[names.UNKNOWN_MODALITY].add(usage.reasoning_tokens)


def _add_by_modality(
    cells: _ByLabel[Counter], total: int, split: tuple[int | None, int | None, int | None]
) -> None:
    for modality, tokens in names.by_modality(total, split):
        cells[modality].add(tokens)
