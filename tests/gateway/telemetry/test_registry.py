import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.telemetry.samples import (
    BILL,
    NO_BILL,
    START_NS,
    a_denial,
    a_receipt,
    an_attempt,
)

from spanmeter.usage import Usage
from spanmeter_gateway.bill import Bill, ClassAmount
from spanmeter_gateway.receipt import Receipt
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.cells import Reader
from spanmeter_gateway.telemetry.registry import Registry, SeriesRow

MODEL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
}


def _entered(*entries: tuple[Receipt, Bill], tag_keys: tuple[str, ...] = ()) -> Registry:
    registry = Registry(tag_keys)
    for receipt, bill in entries:
        registry.enter(receipt, bill)
    return registry


def _series(registry: Registry, metric: names.Metric) -> list[tuple[dict[str, str], list[int]]]:
    """Return the labels and numbers of every series that has counted something."""
    rows = [row for row in registry.changed() if row.metric == metric.prometheus_name]
    series = []
    for row in rows:
        texts = json.loads(row.labels)
        labels = dict(zip(texts[::2], texts[1::2], strict=True))
        numbers = json.loads(row.values)
        if any(numbers):
            series.append((labels, numbers))
    return series


def _shown(registry: Registry, metric: names.Metric) -> list[tuple[tuple[str, ...], list[int]]]:
    families = {family.metric.name: family for family in registry.collect()}
    return [(point.labels, point.numbers) for point in families[metric.name].points]


def test_a_call_is_counted_once_with_all_that_names_it():
    receipt = a_receipt(task="pay", tags=(("env", "prod"), ("user", "u1"), ("env", "test")))

    registry = _entered((receipt, BILL), tag_keys=("env", "team"))

    assert _series(registry, names.CALLS) == [
        (
            {
                **MODEL, "spanmeter.feature": "checkout", "spanmeter.task": "pay",
                "spanmeter.outcome": "ok", "spanmeter.tag.env": "prod",
            },
            [1],
        )
    ]  # fmt: skip


def test_a_feature_begins_with_its_good_and_failed_outcomes_at_zero():
    registry = _entered((a_receipt(), BILL))

    outcomes = {labels[5]: numbers for labels, numbers in _shown(registry, names.CALLS)}

    assert outcomes == {
        "ok": [0], "caller_error": [0], "provider_error": [0], "gateway_error": [0],
    }  # fmt: skip


def test_tokens_and_cost_are_counted_by_class_in_integers():
    registry = _entered((a_receipt(), BILL), (a_receipt(), BILL))

    common = {**MODEL, "spanmeter.feature": "checkout"}
    assert _series(registry, names.TOKENS) == [
        ({**common, "spanmeter.token.class": "input"}, [200]),
        ({**common, "spanmeter.token.class": "output"}, [40]),
    ]
    assert _series(registry, names.COST) == [
        ({**common, "spanmeter.token.class": kind, "spanmeter.cost.source": "local"}, [nanos])
        for kind, nanos in (("input", 30_000), ("output", 24_000))
    ]


def test_costs_of_two_sources_are_never_added_up():
    reported = Bill(cost_nanos=(ClassAmount("total", 7),), source="provider")

    registry = _entered((a_receipt(), reported), (a_receipt(), BILL))

    sources = [(labels["spanmeter.cost.source"], numbers) for labels, numbers in _series(
        registry, names.COST
    )]  # fmt: skip
    assert sources == [("provider", [7]), ("local", [15_000]), ("local", [12_000])]


def test_unknown_usage_and_unknown_price_are_counted_and_never_zero():
    unmetered = a_receipt(usage=None, unmetered="not_reported")

    registry = _entered((unmetered, NO_BILL), (a_receipt(), Bill(unpriced="unknown_model")))

    common = {**MODEL, "spanmeter.feature": "checkout"}
    assert _series(registry, names.UNMETERED) == [({**common, "reason": "not_reported"}, [1])]
    assert _series(registry, names.UNPRICED) == [({**common, "reason": "unknown_model"}, [1])]
    assert _series(_entered((unmetered, NO_BILL)), names.OPERATION_INPUT) == []


def test_a_fallback_is_two_attempts_and_one_call():
    busy = an_attempt(
        provider="anthropic", model="claude-x", status=529, error_type="overloaded_error"
    )

    registry = _entered((a_receipt(attempts=(busy, an_attempt())), BILL))

    assert [numbers for _, numbers in _series(registry, names.CALLS)] == [[1]]
    attempts = [
        (labels["gen_ai.provider.name"], labels.get("error.type"))
        for labels, _ in _series(registry, names.ATTEMPTS)
    ]
    assert attempts == [("anthropic", "overloaded_error"), ("openai", None)]
    inputs = _series(registry, names.INPUT_TOKENS)
    assert [(labels["gen_ai.provider.name"], numbers) for labels, numbers in inputs] == [
        ("openai", [100])
    ]


def test_the_standard_duration_carries_the_upstream_and_what_answered():
    registry = _entered((a_receipt(), BILL))

    [(labels, numbers)] = _series(registry, names.INFERENCE_DURATION)

    assert labels == {
        **MODEL, "gen_ai.response.model": "gpt-4o-mini-2024-07-18", "spanmeter.feature": "checkout",
        "server.address": "api.openai.com", "server.port": "443",
    }  # fmt: skip
    # 1.4 s: above 1.28 and not above 2.56.
    assert numbers == [1_400_000_000, *[0] * 8, 1, *[0] * 8]


def test_an_observation_on_a_bound_is_in_that_bucket():
    registry = _entered((a_receipt(duration_ns=20_000_000_000), BILL))

    [(_, numbers)] = _series(registry, names.CALL_DURATION)

    assert numbers.index(1) - 1 == names.WAIT_SECONDS.index(20.0)


def test_time_to_first_chunk_is_of_streams_only():
    streamed = a_receipt(stream=True, attempts=(an_attempt(first_chunk_ns=300_000_000),))
    whole = a_receipt(attempts=(an_attempt(first_chunk_ns=300_000_000),))

    [(labels, numbers)] = _series(_entered((streamed, BILL)), names.TIME_TO_FIRST)

    assert (numbers[0], "error.type" in labels) == (300_000_000, False)
    assert _series(_entered((whole, BILL)), names.TIME_TO_FIRST) == []


def test_embeddings_have_the_operation_duration_and_no_inference_metrics():
    registry = _entered((a_receipt(operation="embeddings"), BILL))

    assert len(_series(registry, names.OPERATION_DURATION)) == 1
    assert _series(registry, names.INFERENCE_DURATION) == []
    assert _series(registry, names.INPUT_TOKENS) == []
    assert len(_series(registry, names.TOKENS)) == 2


@pytest.mark.parametrize(
    ("split", "counted"),
    [
        ({}, {"unknown": [100]}),
        ({"input_audio_tokens": 0}, {"unknown": [100]}),
        ({"input_audio_tokens": 30}, {"audio": [30], "unknown": [70]}),
        ({"input_text_tokens": 60, "input_image_tokens": 40}, {"text": [60], "image": [40]}),
        ({"input_audio_tokens": 101}, {"unknown": [100]}),
    ],
)
def test_modalities_always_add_up_to_the_total(split: dict[str, int], counted: dict[str, Any]):
    usage = Usage(input_tokens=100, output_tokens=20, **split)

    registry = _entered((a_receipt(usage=usage), BILL))

    series = _series(registry, names.INPUT_TOKENS)
    assert {labels["gen_ai.token.modality"]: numbers for labels, numbers in series} == counted


def test_cached_and_reasoning_tokens_have_counters_of_their_own():
    usage = Usage(
        input_tokens=100, output_tokens=20, cache_read_tokens=64, cache_read_audio_tokens=4,
        cache_write_tokens=8, reasoning_tokens=5,
    )  # fmt: skip

    registry = _entered((a_receipt(usage=usage), BILL))

    assert [numbers for _, numbers in _series(registry, names.CACHE_READ_TOKENS)] == [[4], [60]]
    assert [numbers for _, numbers in _series(registry, names.CACHE_WRITE_TOKENS)] == [[8]]
    assert [numbers for _, numbers in _series(registry, names.REASONING_TOKENS)] == [[5]]


def test_a_total_that_was_not_reported_is_not_counted_as_zero():
    registry = _entered((a_receipt(usage=Usage(reasoning_tokens=5)), NO_BILL))

    for metric in (names.INPUT_TOKENS, names.OUTPUT_TOKENS, names.OPERATION_INPUT):
        assert _series(registry, metric) == []


def test_a_denied_call_is_counted_with_the_model_it_asked_for():
    registry = _entered((a_denial(), NO_BILL))

    [(labels, numbers)] = _series(registry, names.CALLS)

    assert (labels["gen_ai.request.model"], labels["error.type"]) == (
        "gpt-4o-mini",
        "budget_exceeded",
    )
    assert (labels.get("gen_ai.provider.name"), numbers) == (None, [1])


def test_what_is_passed_through_is_not_a_call():
    receipt = a_receipt(kind="passthrough", operation=None, usage=None)

    registry = _entered((receipt, NO_BILL))

    assert len(_series(registry, names.PASSTHROUGH)) == 1
    assert _series(registry, names.CALLS) == []
    assert _series(registry, names.ATTEMPTS) == []


def test_dropped_tags_are_counted_by_reason():
    receipt = a_receipt(violations=(("malformed", "env"), ("too_long", "x"), ("malformed", "y:")))

    registry = _entered((receipt, BILL))

    assert _series(registry, names.TAG_VIOLATIONS) == [
        ({"reason": "malformed"}, [2]), ({"reason": "too_long"}, [1]),
    ]  # fmt: skip


def test_a_label_value_is_cut_at_100_characters_and_otherwise_as_sent():
    registry = _entered((a_receipt(feature="é" * 101), BILL), (a_receipt(feature="é" * 100), BILL))

    [(labels, numbers)] = _series(registry, names.CALLS)

    assert (labels["spanmeter.feature"], numbers) == ("é" * 100, [2])


def test_tag_keys_that_would_be_one_label_are_refused():
    with pytest.raises(ValueError, match="same Prometheus label"):
        Registry(("cost-center", "cost.center"))


def test_a_counter_takes_exactly_its_own_labels():
    with pytest.raises(ValueError, match="spanmeter_segments_total"):
        Registry().add("spanmeter_segments_total", ("entered", "more"), 1)


def test_a_new_series_is_shown_at_zero_once():
    registry = Registry(clock_ns=lambda: START_NS)
    registry.add("spanmeter_segments_total", ("entered",), 3)

    first = _shown(registry, names.SEGMENTS)
    registry.add("spanmeter_segments_total", ("entered",), 1)

    assert first == [(("entered",), [0])]
    assert _shown(registry, names.SEGMENTS) == [(("entered",), [4])]


def test_a_series_that_nobody_collected_for_60_seconds_is_not_new():
    clock = [START_NS]
    registry = Registry(clock_ns=lambda: clock[0])
    registry.add("spanmeter_segments_total", ("entered",), 3)

    clock[0] += 60_000_000_000

    assert _shown(registry, names.SEGMENTS) == [(("entered",), [3])]


def test_a_restored_series_is_never_new():
    registry = Registry()

    registry.restore([SeriesRow("spanmeter_receipts_entered_total", "[]", "[41]", START_NS)])
    registry.add("spanmeter_receipts_entered_total", (), 1)

    assert _shown(registry, names.RECEIPTS_ENTERED) == [((), [42])]
    assert registry.changed()[-1] == SeriesRow(
        "spanmeter_receipts_entered_total", "[]", "[42]", START_NS
    )


def test_changes_are_listed_until_they_are_saved():
    registry = _entered((a_receipt(), BILL))
    first = registry.changed()

    again = registry.changed()
    registry.mark_saved()

    assert (len(first) > 10, again, registry.changed()) == (True, first, [])


def test_a_change_between_listing_and_saving_is_not_lost():
    registry = Registry()
    registry.changed()
    registry.add("spanmeter_segments_total", ("entered",), 1)

    registry.mark_saved()

    assert [row.values for row in registry.changed()] == ["[1]"]


def test_restoring_undoes_what_was_not_saved():
    registry = _entered((a_receipt(), BILL))
    saved = registry.changed()
    registry.mark_saved()
    registry.enter(a_receipt(), BILL)
    registry.enter(a_receipt(feature="other"), BILL)

    registry.restore(saved)
    registry.enter(a_receipt(), BILL)

    twice = _entered((a_receipt(), BILL), (a_receipt(), BILL))
    assert _numbers(registry) == _numbers(twice)


def test_a_series_that_was_saved_and_not_collected_stays_new():
    registry = Registry()
    registry.add("spanmeter_segments_total", ("entered",), 3)

    registry.restore(registry.changed())

    assert _shown(registry, names.SEGMENTS) == [(("entered",), [0])]


def test_what_this_configuration_does_not_have_is_left_out():
    registry = Registry(())
    rows = [
        SeriesRow("spanmeter_gone_total", "[]", "[1]", 1),
        SeriesRow("spanmeter_receipts_entered_total", "[]", "[1,2]", 1),
        SeriesRow("spanmeter_call_duration_seconds", '["spanmeter.feature","f"]', "[5,1,2]", 1),
    ]

    registry.restore(rows)

    assert not any(any(numbers) for numbers in _numbers(registry).values())


def test_a_tag_key_that_is_new_in_the_configuration_keeps_the_totals_without_it():
    rows = _entered((a_receipt(), BILL)).changed()
    registry = Registry(("env",))

    registry.restore(rows)
    registry.enter(a_receipt(), BILL)

    assert [numbers for _, numbers in _series(registry, names.CALLS)] == [[2]]


def _numbers(registry: Registry) -> dict[tuple[str, tuple[str, ...]], list[int]]:
    registry.collect()
    return {
        (family.metric.name, point.labels): point.numbers
        for family in registry.collect()
        for point in family.points
    }


_TEXT = st.text(max_size=6)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.integers(0, 10**15),
            st.sampled_from(["ok", "provider_error", "cancelled"]),
            st.lists(st.tuples(st.sampled_from(["env", "user"]), _TEXT), max_size=3),
        ),
        max_size=12,
    ),
    st.integers(0, 12),
)
def test_saving_and_restoring_anywhere_changes_no_total(calls: list[Any], cut: int):
    receipts = [
        a_receipt(feature=feature, duration_ns=duration, outcome=outcome, tags=tuple(tags))
        for feature, duration, outcome, tags in calls
    ]
    entries = [(receipt, BILL) for receipt in receipts]
    whole = _entered(*entries, tag_keys=("env",))

    first = _entered(*entries[:cut], tag_keys=("env",))
    second = Registry(("env",))
    second.restore(first.changed())
    for receipt, bill in entries[cut:]:
        second.enter(receipt, bill)

    assert _numbers(second) == _numbers(whole)


def test_a_look_sees_a_new_series_as_it_is_and_leaves_its_start_to_the_scrape():
    registry = Registry()
    registry.add(names.SEGMENTS.prometheus_name, ("entered",), 3)

    looks = [
        point.numbers
        for scrapes in (False, True, True)
        for family in registry.collect(Reader.SCRAPE if scrapes else Reader.NONE)
        for point in family.points
        if point.labels == ("entered",)
    ]

    assert looks == [[3], [0], [3]]
