from tests.gateway.telemetry.samples import BILL, NO_BILL, a_denial, a_receipt, an_attempt
from tests.gateway.telemetry.series import counted

from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.breakdown import Breakdown
from spanmeter_gateway.telemetry.registry import Registry

LONG = "x" * 101
CUT = "x" * 100


class AskedRegistry(Registry):
    """Remembers what it was asked, and folds the features that it is told to."""

    def __init__(self, *tag_keys: str) -> None:
        self.asked: list[Breakdown] = []
        self.folded: set[str] = set()
        super().__init__(tag_keys)

    def settle(self, breakdown: Breakdown) -> Breakdown:
        self.asked.append(breakdown)
        if breakdown.feature in self.folded:
            return breakdown._replace(feature=names.FOLDED)
        return breakdown


def test_it_is_asked_about_every_attempt_of_every_receipt() -> None:
    registry = AskedRegistry("env")
    fallback = an_attempt(provider="anthropic", model="claude-x", status=529)
    receipt = a_receipt(
        task="pay",
        tags=(("env", "prod"),),
        request_model="alias",
        attempts=(fallback, an_attempt()),
    )

    registry.enter(receipt, BILL)
    registry.enter(receipt, BILL)

    attempts = [
        Breakdown("checkout", "pay", "claude-x", "", ("prod",)),
        Breakdown("checkout", "pay", "gpt-4o-mini", "gpt-4o-mini-2024-07-18", ("prod",)),
    ]
    assert registry.asked == attempts * 2


def test_a_call_without_attempts_is_asked_about_with_the_model_it_asked_for() -> None:
    registry = AskedRegistry()

    registry.enter(a_denial(), NO_BILL)

    assert registry.asked == [Breakdown("checkout", "", "gpt-4o-mini", "", ())]


def test_what_is_passed_through_is_asked_about_without_models() -> None:
    registry = AskedRegistry()

    registry.enter(a_receipt(kind="passthrough"), NO_BILL)

    assert registry.asked == [Breakdown("checkout", "", "", "", ())]


def test_labels_are_cut_before_they_are_settled() -> None:
    registry = AskedRegistry("env")
    receipt = a_receipt(
        feature=LONG, task=LONG, tags=(("env", LONG),), response_model=LONG,
        attempts=(an_attempt(model=LONG),),
    )  # fmt: skip

    registry.enter(receipt, BILL)

    assert registry.asked == [Breakdown(CUT, CUT, CUT, CUT, (CUT,))]


def test_every_metric_of_a_call_is_counted_under_the_settled_breakdown() -> None:
    registry = AskedRegistry()
    registry.folded.add("checkout")

    registry.enter(a_receipt(stream=True, attempts=(an_attempt(first_chunk_ns=1),)), BILL)
    registry.enter(a_receipt(kind="passthrough"), NO_BILL)

    features = {
        labels.get("spanmeter.feature")
        for metric in names.METRICS
        if names.FEATURE in metric.attributes
        for labels, _ in counted(registry, metric)
    }
    assert features == {names.FOLDED}


def test_a_new_decision_holds_from_the_next_call_on_in_all_metrics() -> None:
    registry = AskedRegistry()
    registry.folded.add("checkout")
    registry.enter(a_receipt(), BILL)

    registry.folded.clear()
    registry.enter(a_receipt(), BILL)

    for metric in (names.CALLS, names.TOKENS, names.ATTEMPTS, names.INFERENCE_DURATION):
        totals: dict[str, int] = {}
        for labels, numbers in counted(registry, metric):
            feature = labels["spanmeter.feature"]
            totals[feature] = totals.get(feature, 0) + numbers[0]
        assert totals.keys() == {names.FOLDED, "checkout"}
        assert totals[names.FOLDED] == totals["checkout"] > 0
