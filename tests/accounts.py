"""What calls must amount to, and what metrics and spans say that they did, in values to compare."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from tests.fakes.otlp_sink import SinkSpan
from tests.gateway_process import Metrics
from tests.traffic import End, Made

NONE_DIFFERS = {"written_entered": 0, "receipts_calls": 0, "receipts_spans": 0}


@dataclass(frozen=True, slots=True)
class Account:
    """A set of calls, added up to the last token and nano-dollar."""

    calls: Mapping[End, int]
    tokens: Mapping[str, int]
    """By token class."""
    cost_nanos: int
    waits: int
    """Observations of the call duration."""
    attempts: int

    @classmethod
    def of(cls, calls: Iterable[Made]) -> Self:
        """Add up what these calls must amount to; each had one attempt."""
        made = list(calls)
        tokens: Counter[str] = Counter()
        for each in made:
            tokens.update(each.kind.tokens)
        return cls(
            calls=Counter(each.end for each in made),
            tokens=tokens,
            cost_nanos=sum(each.kind.cost_nanos for each in made),
            waits=len(made),
            attempts=len(made),
        )

    @classmethod
    def read(cls, metrics: Metrics, name: str) -> Self:
        """Add up what a scrape says of all features whose name begins so."""

        def by(sample: str, *labels: str) -> Counter[tuple[str, ...]]:
            sums: Counter[tuple[str, ...]] = Counter()
            for found, value in metrics.select(sample):
                if found["spanmeter_feature"].startswith(name) and value:
                    # In billionths, which all our amounts are whole multiples of.
                    sums[tuple(found[label] for label in labels)] += round(value * 10**9)
            return sums

        def count(sample: str) -> int:
            return by(sample).total() // 10**9

        ends = by("spanmeter_calls_total", "spanmeter_feature", "spanmeter_outcome", "error_type")
        tokens = by("spanmeter_tokens_total", "spanmeter_token_class")
        return cls(
            calls={(end[0], end[1], end[2]): nanos // 10**9 for end, nanos in ends.items()},
            tokens={key: nanos // 10**9 for (key,), nanos in tokens.items()},
            cost_nanos=by("spanmeter_cost_usd_total").total(),
            waits=count("spanmeter_call_duration_seconds_count"),
            attempts=count("gen_ai_client_inference_duration_seconds_count"),
        )

    @property
    def total(self) -> int:
        """How many calls there were."""
        return sum(self.calls.values())


def differences(metrics: Metrics) -> dict[str, float]:
    """Return what two counts of the same differ by, for each pair that is compared."""
    found = metrics.select("spanmeter_reconciliation_difference")
    return {labels["pair"]: value for labels, value in found}


def ends_by_call(spans: Sequence[SinkSpan], name: str) -> dict[str, End]:
    """Return how each call was accounted for, by its tag `call`; of all features named so.

    A span may come again, but then it is the same; and no call has two SERVER spans.
    """
    first_by_id: dict[str, SinkSpan] = {}
    for span in spans:
        if span.attributes["spanmeter.feature"].startswith(name):
            first = first_by_id.setdefault(span.span_id, span)
            assert replace(span, resource=first.resource) == first, "a span came again, and altered"
    servers = [span for span in first_by_id.values() if span.kind == "SERVER"]
    ends = {span.attributes["spanmeter.tag.call"][0]: _end(span) for span in servers}
    assert len(ends) == len(servers), "a call has two SERVER spans"
    return ends


def _end(span: SinkSpan) -> End:
    seen = span.attributes
    return seen["spanmeter.feature"], seen["spanmeter.outcome"], seen.get("error.type", "")
