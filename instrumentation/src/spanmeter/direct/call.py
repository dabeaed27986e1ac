"""One direct call under way: told by a hook of its answer, and printed when it ended."""

import time
from collections.abc import Mapping
from typing import NamedTuple

from opentelemetry.trace import Tracer, set_span_in_context

from spanmeter.dialects.dialect import ResponseFacts
from spanmeter.direct.answer import AnswerReading
from spanmeter.direct.asked import Asked
from spanmeter.direct.chunk_times import ChunkTimes
from spanmeter.direct.ended import Ended, end
from spanmeter.direct.ending import judge
from spanmeter.direct.instruments import Instruments
from spanmeter.direct.spans import begin_span, end_span
from spanmeter.metric import Semconv


class Telemetry(NamedTuple):
    """Where calls are printed, and how."""

    tracer: Tracer
    instruments: Instruments
    generation: Semconv
    times_chunks: bool


class DirectCall:
    """A `spanmeter.observing.Call`."""

    def __init__(self, asked: Asked, telemetry: Telemetry) -> None:
        self._asked = asked
        self._telemetry = telemetry
        self._started_at_ns = time.time_ns()
        self._span = begin_span(telemetry.tracer, asked, started_at_ns=self._started_at_ns)
        self._started_ns = time.monotonic_ns()
        self._first_chunk_ns: int | None = None
        self._chunk_times = ChunkTimes() if asked.streams and telemetry.times_chunks else None
        self._reading: AnswerReading | None = None

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """Begin to read the answer; names of headers are in lower case."""
        self._reading = AnswerReading(self._asked, status, headers)

    def received(self, data: bytes) -> None:
        """Read a piece of the answer, as it came over the wire."""
        if self._reading is None or not data:
            return
        if self._asked.streams:
            now_ns = time.monotonic_ns()
            if self._first_chunk_ns is None:
                self._first_chunk_ns = now_ns - self._started_ns
            if self._chunk_times is not None:
                self._chunk_times.note(now_ns)
        self._reading.feed(data)

    def ended(self, error: BaseException | None, *, is_whole: bool) -> None:
        """Print the call: its span ends, its metrics are counted."""
        ended = self._account(error, is_whole=is_whole)
        self._telemetry.instruments.record(ended, set_span_in_context(self._span))
        end_span(
            self._span,
            ended,
            generation=self._telemetry.generation,
            ended_at_ns=self._started_at_ns + ended.duration_ns,
        )

    def _account(self, error: BaseException | None, *, is_whole: bool) -> Ended:
        duration_ns = time.monotonic_ns() - self._started_ns
        reading = self._reading
        facts = reading.close() if reading is not None else ResponseFacts()
        return end(
            self._asked,
            facts,
            judge(reading, facts, error=error, is_whole=is_whole),
            status=reading.status if reading is not None else None,
            duration_ns=duration_ns,
            first_chunk_ns=self._first_chunk_ns,
            chunk_seconds=() if self._chunk_times is None else self._chunk_times.seconds(),
        )
