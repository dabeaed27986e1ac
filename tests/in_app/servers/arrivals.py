"""What a gateway makes of the calls that an application sends through it."""

from dataclasses import dataclass

from tests.fakes.otlp_sink import OtlpSink, SinkSpan


@dataclass(frozen=True, slots=True)
class Arrivals:
    """A gateway's address, and what it said of each call. A test knows its calls by the model."""

    url: str
    sink: OtlpSink

    def spans(self, model: str, *, count: int = 1) -> list[SinkSpan]:
        """Wait for so many calls of a model, and return the gateway's CLIENT spans in order."""

        def found(spans: list[SinkSpan]) -> list[SinkSpan]:
            ours = [s for s in spans if s.attributes.get("gen_ai.request.model") == model]
            return sorted((s for s in ours if s.kind == "CLIENT"), key=lambda s: s.start_ns)

        return found(self.sink.wait(lambda spans: len(found(spans)) >= count))

    def of(self, model: str) -> list[object]:
        """Return feature, task and tags of the one call of a model."""
        (span,) = self.spans(model)
        tags = [tag.partition(":")[::2] for tag in span.attributes.get("spanmeter.tags", ())]
        said = span.attributes
        return [said["spanmeter.feature"], said.get("spanmeter.task"), dict(tags)]
