"""What the governor decides, seen in the series of a registry that receipts are entered in."""

import os
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from prometheus_client.parser import text_string_to_metric_families
from tests.gateway.telemetry.samples import BILL, NO_BILL, START_NS, a_receipt, an_attempt
from tests.otlp_series import series_of_page, series_of_requests
from tests.processes import memory_bytes

from spanmeter_gateway.receipt import Receipt
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.budgets import Budgets, Pinned
from spanmeter_gateway.telemetry.cells import Reader
from spanmeter_gateway.telemetry.exposition import print_text, render
from spanmeter_gateway.telemetry.otlp_metrics import MetricEncoder
from spanmeter_gateway.telemetry.registry import Registry

OTHER = names.FOLDED
MINUTE_NS = 60_000_000_000
FEATURE = names.FEATURE
Series = dict[tuple[str, tuple[str, ...]], list[int]]


def registry(*tag_keys: str, **budgets: Any) -> Registry:
    return Registry(
        tag_keys, lambda: START_NS, budgets=Budgets(**{"at_sight_percent": 50, **budgets})
    )


def a_call(feature: str, *, error: str = "", model: str = "gpt-4o-mini", **changes: Any) -> Receipt:
    """Return a receipt that is good, or a provider's error."""
    attempt = an_attempt(model=model, status=500 if error else 200, error_type=error or None)
    failed = {"outcome": "provider_error", "error_type": error, "usage": None, "http_status": 502}
    ends = failed if error else {}
    return a_receipt(
        feature=feature, request_model=model, response_model=None if error else f"{model}-2024",
        attempts=(attempt,), **ends, **changes,
    )  # fmt: skip


def enter(registry: Registry, *receipts: Receipt) -> None:
    for receipt in receipts:
        registry.enter(receipt, BILL if receipt.usage else NO_BILL)


def rows(registry: Registry, metric: names.Metric) -> Iterator[tuple[Mapping[str, str], list[int]]]:
    """Read labels, by attribute, and numbers of every series of a metric."""
    for family in registry.collect(Reader.NONE):
        if family.metric is metric:
            for point in family.points:
                yield dict(zip(family.attributes, point.labels, strict=True)), point.numbers


def counted(
    registry: Registry, metric: names.Metric, *attributes: str
) -> dict[tuple[str, ...], int]:
    """Add up a metric's first numbers (a sum) for each combination of these labels, zeros not."""
    sums: Counter[tuple[str, ...]] = Counter()
    for labels, numbers in rows(registry, metric):
        sums[tuple(labels[attribute] for attribute in attributes)] += numbers[0]
    return {key: total for key, total in sums.items() if total}


def by(registry: Registry, attribute: str) -> dict[str, int]:
    """Count calls by one label."""
    return {value: total for (value,), total in counted(registry, names.CALLS, attribute).items()}


def everything(registry: Registry) -> Series:
    return {
        (family.metric.name, point.labels): point.numbers
        for family in registry.collect(Reader.NONE)
        for point in family.points
    }


def gauge(registry: Registry, metric: names.Metric, *labels: str) -> float:
    values = {gauge.metric.name: gauge.values for gauge in registry.gauges()}
    return values[metric.name][labels]


def overflow(registry: Registry) -> dict[str, int]:
    sums = counted(registry, names.LABEL_OVERFLOW, names.LABEL)
    return {label: total for (label,), total in sums.items()}


def restored(registry: Registry, *tag_keys: str, **budgets: Any) -> Registry:
    """Start anew with what was saved."""
    again = Registry(
        tag_keys, lambda: START_NS, budgets=Budgets(**{"at_sight_percent": 50, **budgets})
    )
    again.restore(registry.changed())
    return again


def test_what_is_folded_is_in_the_sums_and_told_by_label() -> None:
    budgets = {"features": 2, "tag_values": 2}
    folding = registry("env", **budgets)

    enter(folding, a_call("a", tags=(("env", "prod"),)), a_call("b"), a_call("c"))
    enter(folding, a_call("b", tags=(("env", "dev"),)), a_receipt(kind="passthrough", feature="b"))

    assert by(folding, FEATURE) == {"a": 1, OTHER: 3}
    assert by(folding, "spanmeter.tag.env") == {"prod": 1, "": 2, OTHER: 1}
    assert counted(folding, names.COST, FEATURE) == {("a",): 27_000, (OTHER,): 81_000}
    assert overflow(folding) == {"spanmeter_feature": 4, "spanmeter_tag_env": 1}


def test_a_call_that_is_tried_twice_overflows_once() -> None:
    folding = registry(features=1)
    enter(folding, a_call("a"))

    tries = (an_attempt(status=500, error_type="500"), an_attempt())
    enter(folding, a_receipt(feature="b", attempts=tries))

    assert overflow(folding) == {"spanmeter_feature": 1}


def test_all_that_can_overflow_is_there_at_zero_before_it_does() -> None:
    labels = [labels[names.LABEL] for labels, _ in rows(registry("env"), names.LABEL_OVERFLOW)]

    assert labels == [
        "spanmeter_feature", "spanmeter_task", "gen_ai_request_model", "gen_ai_response_model",
        "spanmeter_tag_env", "series",
    ]  # fmt: skip


def test_the_gauges_say_how_much_of_each_budget_is_used() -> None:
    filled = registry("env", features=7, series=5000, pinned=Pinned(features=("vip",)))

    enter(filled, a_call("a", task="pay", tags=(("env", "prod"),)))

    used = {
        label: (gauge(filled, names.LABEL_VALUES, label), gauge(filled, names.LABEL_BUDGET, label))
        for label in ("spanmeter_feature", "spanmeter_task", "gen_ai_request_model")
    }
    assert used == {
        "spanmeter_feature": (2, 7), "spanmeter_task": (1, 100), "gen_ai_request_model": (2, 200),
    }  # fmt: skip
    assert gauge(filled, names.SERIES_BUDGET) == 5000


def test_the_series_in_use_are_the_counters_and_histograms_on_the_page() -> None:
    filled = registry("env")
    enter(filled, a_call("a"), a_call("b", error="500"), a_call("c", stream=True))

    text = render(filled, None)[0].decode()

    families = list(text_string_to_metric_families(text))
    samples = [len(each.samples) for each in families if each.type in {"counter", "histogram"}]
    assert sum(samples) == gauge(filled, names.SERIES) > 200


def test_as_the_total_fills_tags_go_first_then_task_and_models_and_the_feature_last() -> None:
    filling = registry("env", series=3000)

    forms = []
    for number in range(40):
        enter(filling, a_call(f"f{number}", task="pay", tags=(("env", f"e{number % 3}"),)))
        [form] = {
            tuple(labels[key] for key in (FEATURE, names.TASK, "spanmeter.tag.env"))
            for labels, [calls] in rows(filling, names.CALLS)
            if calls and labels[FEATURE] in {f"f{number}", OTHER}
        }
        forms.append(form)

    kept = [tuple(text != OTHER for text in form) for form in forms]
    assert sorted(kept, reverse=True) == kept
    assert set(kept) == {
        (True, True, True), (True, True, False), (True, False, False), (False, False, False),
    }  # fmt: skip
    assert gauge(filling, names.SERIES) <= 3000
    assert overflow(filling)["series"] == kept.index((True, True, False)) * -1 + 40


def test_a_breakdown_that_exists_is_counted_as_before_when_the_total_is_used_up() -> None:
    full = registry("env", series=3000)
    enter(full, a_call("first", tags=(("env", "prod"),)))
    enter(full, *(a_call(f"f{number}") for number in range(60)))

    enter(full, a_call("first", tags=(("env", "prod"),)))

    sums = counted(full, names.CALLS, FEATURE, "spanmeter.tag.env")
    assert sums["first", "prod"] == 2


def test_a_known_breakdown_that_meets_a_new_error_holds_the_total_and_is_folded_as_a_whole() -> (
    None
):
    full = registry("env", series=3000)
    prod = (("env", "prod"),)
    enter(full, a_call("first", tags=prod))
    enter(full, *(a_call(f"f{number}") for number in range(60)))

    enter(full, *(a_call("first", tags=prod, error=f"e{number}") for number in range(20)))
    before = counted(full, names.CALLS, FEATURE, "spanmeter.tag.env")
    enter(full, a_call("first", tags=prod))

    after = counted(full, names.CALLS, FEATURE, "spanmeter.tag.env")
    assert after["first", "prod"] == before["first", "prod"]
    assert sum(after.values()) == 82
    assert overflow(full)["series"] == sum(
        total for (_, env), total in after.items() if env == OTHER
    )


def test_what_is_folded_altogether_always_has_its_own_outcomes_and_error_types() -> None:
    full = registry(series=1000)
    enter(full, *(a_call(f"f{number}") for number in range(40)))

    enter(full, *(a_call("late", error=f"e{number}") for number in range(30)))

    errors = counted(full, names.CALLS, FEATURE, names.ERROR_TYPE)
    assert {key: errors[key] for key in errors if key[1]} == {
        (OTHER, f"e{number}"): 1 for number in range(30)
    }


def test_the_decision_survives_a_restart() -> None:
    budgets = {"features": 4, "tag_values": 4, "series": 1500}
    sent = [
        a_call(f"f{number % 7}", task=f"t{number % 3}", tags=(("env", f"e{number % 5}"),))
        for number in range(60)
    ]
    first = registry("env", **budgets)
    enter(first, *sent)

    second = restored(first, "env", **budgets)
    shown = everything(second)
    enter(first, *reversed(sent))
    enter(second, *reversed(sent))

    assert shown.keys() == everything(second).keys()
    assert everything(second) == everything(first)
    assert [each.values for each in second.gauges()] == [each.values for each in first.gauges()]


def test_a_rollback_takes_back_the_places_that_were_given_since() -> None:
    rolled = registry(features=2)
    saved = rolled.changed()
    rolled.mark_saved()
    enter(rolled, a_call("never-committed"))

    rolled.restore(saved)
    enter(rolled, a_call("first"), a_call("never-committed"))

    assert by(rolled, FEATURE) == {"first": 1, OTHER: 1}


def test_a_lowered_budget_takes_nothing_away_and_gives_nothing_more() -> None:
    rich = registry()
    enter(rich, *(a_call(f"f{number}") for number in range(20)))

    poor = restored(rich, features=4, series=1000)
    enter(poor, *(a_call(f"f{number}") for number in range(22)))

    assert by(poor, FEATURE) == {f"f{number}": 2 for number in range(20)} | {OTHER: 2}
    assert gauge(poor, names.SERIES) > 1000


def test_both_exports_show_the_same_folded_series() -> None:
    folding = registry("env", features=3, tag_values=3, series=1500)
    enter(folding, *(a_call(f"f{n}", tags=(("env", f"e{n}"),)) for n in range(30)))
    encoder = MetricEncoder({}, temporality="cumulative", started_at_ns=START_NS)

    families, gauges = folding.collect(Reader.NONE), folding.gauges()
    pieces = encoder.encode(families, gauges, now_ns=START_NS + MINUTE_NS)

    requests = [ExportMetricsServiceRequest.FromString(piece.request.body) for piece in pieces]
    page = series_of_page(print_text(families, gauges, None)[0].decode())
    assert series_of_requests(requests) == page
    assert ("spanmeter_feature", OTHER) in frozenset.union(*(labels for _, labels in page))


_NAME = st.sampled_from(["", "untagged", OTHER, "a", "b", "c", "d"])
_CALLS = st.lists(
    st.builds(
        lambda feature, model, env, error, repeats: [
            a_call(feature, model=model, tags=(("env", env),) if env else (), error=error)
        ] * repeats,
        _NAME, _NAME, _NAME, st.sampled_from(["", "", "500", "timeout", "429"]), st.integers(1, 3),
    ),
    max_size=25,
)  # fmt: skip


@given(_CALLS, st.integers(0, 25), st.sampled_from([1000, 2000, 50_000]))
def test_no_sum_depends_on_budgets_or_restarts(
    groups: list[list[Receipt]], cut: int, series: int
) -> None:
    budgets = {"features": 3, "models": 4, "tag_values": 2, "series": series}
    sent = [receipt for group in groups for receipt in group]

    first = registry("env", **budgets)
    enter(first, *sent[:cut])
    second = restored(first, "env", **budgets)
    enter(second, *sent[cut:])

    assert _without_error_types(_sums(second)) == _without_error_types(_independent_sums(sent))
    assert len({labels[FEATURE] for labels, _ in rows(second, names.CALLS)} - {"", OTHER}) <= 4


def _sums(registry: Registry) -> dict[str, int]:
    def total(metric: names.Metric) -> int:
        return sum(numbers[0] for _, numbers in rows(registry, metric))

    errors = counted(registry, names.CALLS, names.ERROR_TYPE)
    inputs = counted(registry, names.TOKENS, names.TOKEN_CLASS).get(("input",), 0)
    return {
        "calls": total(names.CALLS),
        "attempts": total(names.ATTEMPTS),
        "cost_nanos": total(names.COST),
        "input_tokens": inputs,
        "genai_output_tokens": total(names.OUTPUT_TOKENS),
        "duration_ns": total(names.CALL_DURATION),
        "attempt_ns": total(names.INFERENCE_DURATION),
        "durations": sum(sum(numbers[1:]) for _, numbers in rows(registry, names.CALL_DURATION)),
    } | {f"error {error}": count for (error,), count in errors.items()}


def _independent_sums(sent: Iterable[Receipt]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for receipt in sent:
        good = receipt.usage is not None
        sums.update(
            {
                "calls": 1, "attempts": 1, "cost_nanos": 27_000 * good, "input_tokens": 100 * good,
                "genai_output_tokens": 20 * good, "duration_ns": receipt.duration_ns,
                "attempt_ns": receipt.attempts[0].duration_ns, "durations": 1,
                f"error {receipt.error_type or ''}": 1,
            }
        )  # fmt: skip
    empty = dict.fromkeys(
        ("calls", "attempts", "cost_nanos", "input_tokens", "genai_output_tokens", "duration_ns",
         "attempt_ns", "durations"), 0,
    )  # fmt: skip
    return empty | sums


def test_the_total_holds_where_every_label_is_in_budget_and_their_combinations_are_not() -> None:
    chance = random.Random(3)
    sent = [
        a_call(
            f"f{chance.randrange(60)}",
            task=f"t{chance.randrange(40)}",
            model=f"m{chance.randrange(30)}",
            error=chance.choice(["", "", "", *(f"e{number}" for number in range(12))]),
            tags=tuple((key, f"{key}{chance.randrange(20)}") for key in ("env", "team")),
        )
        for _ in range(10_000)
    ]
    full = registry("env", "team", series=20_000)

    enter(full, *sent)

    sums, expected = _sums(full), _independent_sums(sent)
    assert 0.9 * 20_000 < gauge(full, names.SERIES) <= 20_000
    assert _without_error_types(sums) == _without_error_types(expected)
    # Each feature still has its own sums, though not of all its calls, and all of its outcomes.
    outcomes = counted(full, names.CALLS, FEATURE, names.OUTCOME)
    assert {feature for feature, outcome in outcomes if outcome == "provider_error"} == {
        OTHER, *(f"f{number}" for number in range(60)),
    }  # fmt: skip
    assert by(full, FEATURE)[OTHER] < len(sent) / 10


def _without_error_types(sums: Mapping[str, int]) -> dict[str, int]:
    named = {key: total for key, total in sums.items() if not key.startswith("error ")}
    return named | {"errors": sum(sums.values()) - sum(named.values())}


FLOOD_CALLS = 250_000
FLOOD_FEATURES = 50_000
FLOOD_MINUTES = 8
TAG_KEYS = ("env", "team", "project", "cost-center")


def _flood() -> Iterator[Receipt]:
    """250,000 calls of 50,000 features; each has 4 tags of its own, so 1,000,000 tag values."""
    chance = random.Random(20)
    kinds = [a_call("any", model=f"model-{number}") for number in range(3)]
    failed = [a_call("any", error=error) for error in ("500", "429", "timeout")]
    for number in range(FLOOD_CALLS):
        yield msgspec.structs.replace(
            (failed if number % 10 == 0 else kinds)[number % 3],
            feature="steady" if number % 500 == 499 else f"feature-{number % FLOOD_FEATURES}",
            task=f"task-{number % 300}",
            duration_ns=chance.randrange(10**12),
            tags=tuple((key, f"{key}-{number}") for key in TAG_KEYS),
        )


@pytest.mark.timeout(300)  # half a minute of CPU, on a machine that may be busy
def test_50000_features_and_1000000_tag_values_stay_in_budget_with_exact_sums() -> None:
    clock = [START_NS]
    flooded = Registry(TAG_KEYS, lambda: clock[0])
    before = memory_bytes(os.getpid())

    sent: Counter[str] = Counter()
    for number, receipt in enumerate(_flood()):
        clock[0] = START_NS + number * FLOOD_MINUTES * MINUTE_NS // FLOOD_CALLS
        enter(flooded, receipt)
        sent[receipt.error_type or ""] += 1
        sent["duration_ns"] += receipt.duration_ns
        if number % 1000 == 0:
            flooded.changed()
            flooded.mark_saved()

    grown = memory_bytes(os.getpid()) - before
    good = sent[""]
    assert _sums(flooded) == {
        "calls": FLOOD_CALLS,
        "attempts": FLOOD_CALLS,
        "cost_nanos": 27_000 * good,
        "input_tokens": 100 * good,
        "genai_output_tokens": 20 * good,
        "duration_ns": sent["duration_ns"],
        "attempt_ns": FLOOD_CALLS * an_attempt().duration_ns,
        "durations": FLOOD_CALLS,
    } | {f"error {error}": sent[error] for error in ("", "500", "429", "timeout")}
    assert gauge(flooded, names.SERIES) <= Budgets().series
    features = by(flooded, FEATURE)
    assert len(features) == Budgets().features * 9 // 10 + len({"steady", OTHER})
    assert features["steady"] > FLOOD_CALLS / 500 / 2
    assert {labels["spanmeter.tag.env"] for labels, _ in rows(flooded, names.CALLS)} == {
        OTHER, *(f"env-{number}" for number in range(Budgets().tag_values * 9 // 10)),
    }  # fmt: skip
    assert grown < 40_000_000
