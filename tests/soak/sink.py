"""A collector for a soak: of each call it keeps only how it ended, and under which span."""

from collections.abc import Mapping, Sequence

from tests.fakes.otlp_sink import OtlpSink
from tests.traffic import End


class SoakSink(OtlpSink):
    """Hours of spans in little memory."""

    def __init__(self) -> None:
        super().__init__()
        self._ends: dict[str, dict[str, End]] = {}
        """By call: its SERVER spans, by their id. One that comes again has the same."""
        self.altered = 0
        """Spans that came again with another end."""
        # Books that are killed leave in the midst of a request, which is nothing to tell of.
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # quieter

    def take(self, path: str, body: bytes) -> bytes:
        """Note the ends of the calls in a body, and forget the rest."""
        answer = super().take(path, body)
        with self._arrived:
            spans, self.spans = self.spans, []
            self.bodies.clear()
            self.metrics.clear()
            for span in spans:
                if span.kind == "SERVER":
                    seen = span.attributes
                    (call,) = seen["spanmeter.tag.call"]
                    error = seen.get("error.type", "")
                    end = seen["spanmeter.feature"], seen["spanmeter.outcome"], error
                    known = self._ends.setdefault(call, {}).setdefault(span.span_id, end)
                    self.altered += known != end
        return answer

    def ends(self) -> Mapping[str, Sequence[End]]:
        """Return how each call ended; one with several SERVER spans has several ends."""
        with self._arrived:
            return {call: list(ends.values()) for call, ends in self._ends.items()}
