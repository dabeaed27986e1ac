import pytest
from tests.gateway.telemetry.samples import BILL, NO_BILL, a_denial, a_receipt, an_attempt
from tests.gateway.telemetry.series import counted

from spanmeter.usage import Usage
from spanmeter_gateway.bill import Bill, ClassAmount
from spanmeter_gateway.receipt import CHUNK_SECONDS, Receipt
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.cells import Reader
from spanmeter_gateway.telemetry.exposition import render
from spanmeter_gateway.telemetry.metric import MetricSettings, Semconv
from spanmeter_gateway.telemetry.registry import Registry

STREAM = a_receipt(stream=True, attempts=(an_attempt(first_chunk_ns=300_000_000),))
WITH_COST = MetricSettings(switches=frozenset({"metrics.operation_cost"}))
OF_LATEST = {
    "gen_ai.client.inference.duration", "gen_ai.client.inference.time_to_first_chunk",
    "gen_ai.client.inference.usage.input_tokens", "gen_ai.client.inference.usage.output_tokens",
    "gen_ai.client.inference.operation.input_tokens",
    "gen_ai.client.inference.operation.output_tokens",
}  # fmt: skip
OF_V1_41 = {
    "gen_ai.client.operation.duration", "gen_ai.client.operation.time_to_first_chunk",
    "gen_ai.client.token.usage",
}  # fmt: skip


def _registry(*receipts: Receipt, settings: MetricSettings, bill: Bill = BILL) -> Registry:
    registry = Registry((), settings=settings)
    for receipt in receipts:
        registry.enter(receipt, bill)
    return registry


@pytest.mark.parametrize(
    ("semconv", "printed"),
    [("latest", OF_LATEST), ("v1_41", OF_V1_41), ("both", OF_LATEST | OF_V1_41)],
)
def test_a_streamed_inference_is_printed_by_the_generation_that_is_set(
    semconv: Semconv, printed: set[str]
) -> None:
    registry = _registry(STREAM, settings=MetricSettings(semconv=semconv))

    having_series = {family.metric.name for family in registry.collect() if family.points}

    assert {name for name in having_series if name.startswith("gen_ai.")} == printed


def test_the_times_between_chunks_are_added_as_the_relay_counted_them() -> None:
    chunk_times = (3_000_000, 2, *[0] * (len(CHUNK_SECONDS) - 1), 1)
    stream = a_receipt(stream=True, attempts=(an_attempt(chunk_times=chunk_times),))
    wanted = MetricSettings(switches=frozenset({"metrics.time_per_output_chunk"}))

    registry = _registry(stream, stream, settings=wanted)

    assert _chunk_times(registry) == [[2 * number for number in chunk_times]]
    assert _chunk_times(_registry(stream, settings=MetricSettings())) == []


def test_the_times_between_chunks_of_a_relay_with_other_buckets_are_left_out() -> None:
    stream = a_receipt(stream=True, attempts=(an_attempt(chunk_times=(5, 1, 0)),))
    wanted = MetricSettings(switches=frozenset({"metrics.time_per_output_chunk"}))

    [numbers] = _chunk_times(_registry(stream, settings=wanted))

    assert sum(numbers) == 0


def test_a_receipt_has_the_buckets_that_are_printed() -> None:
    assert names.TIME_PER_CHUNK.buckets == CHUNK_SECONDS


def _chunk_times(registry: Registry) -> list[list[int]]:
    return [
        point.numbers
        for family in registry.collect(Reader.NONE)
        if family.metric is names.TIME_PER_CHUNK
        for point in family.points
    ]


@pytest.mark.parametrize("semconv", ["latest", "v1_41", "both"])
def test_what_is_off_appears_nowhere(semconv: Semconv) -> None:
    settings = MetricSettings(semconv=semconv)
    registry = _registry(STREAM, a_receipt(operation="embeddings"), settings=settings)
    off = {
        metric.prometheus_name
        for metric in set(names.METRICS) - set(settings.printed(names.METRICS))
    }  # fmt: skip

    body, _ = render(registry, None)

    assert {row.metric for row in registry.changed()} & off == set()
    assert {family.metric.prometheus_name for family in registry.collect()} & off == set()
    assert [name for name in off if f"# TYPE {name} " in body.decode()] == []


def test_of_two_generations_the_durations_and_first_chunks_are_the_same() -> None:
    registry = _registry(STREAM, settings=MetricSettings(semconv="both"))

    durations = counted(registry, names.INFERENCE_DURATION)
    first_chunks = counted(registry, names.TIME_TO_FIRST)

    assert (len(durations), durations) == (1, counted(registry, names.OPERATION_DURATION))
    assert (len(first_chunks), first_chunks) == (
        1,
        counted(registry, names.OPERATION_TIME_TO_FIRST),
    )


def test_token_usage_has_the_totals_by_type() -> None:
    registry = _registry(a_receipt(), settings=MetricSettings(semconv="v1_41"))

    usage = counted(registry, names.TOKEN_USAGE)

    assert [(labels["gen_ai.token.type"], numbers[0]) for labels, numbers in usage] == [
        ("input", 100), ("output", 20),
    ]  # fmt: skip


def test_token_usage_of_embeddings_is_what_was_reported() -> None:
    embeddings = a_receipt(operation="embeddings", usage=Usage(input_tokens=7))

    registry = _registry(embeddings, settings=MetricSettings(semconv="v1_41"))

    usage = counted(registry, names.TOKEN_USAGE)
    assert [(labels["gen_ai.token.type"], numbers[0]) for labels, numbers in usage] == [
        ("input", 7)
    ]


def test_the_cost_of_a_call_is_one_observation_of_its_sum() -> None:
    registry = _registry(a_receipt(task="pay"), settings=WITH_COST)

    [(labels, numbers)] = counted(registry, names.OPERATION_COST)

    assert labels == {
        "spanmeter.feature": "checkout", "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini", "gen_ai.operation.name": "chat",
    }  # fmt: skip
    # 27,000 nano-dollars: above 1e-5 USD and not above 1e-4.
    assert numbers == [27_000, 0, 1, *[0] * (len(names.COST_USD) - 1)]


def test_a_cost_of_nothing_is_observed_and_an_unknown_one_is_not() -> None:
    free = Bill(cost_nanos=(ClassAmount("total", 0),), source="provider")

    gratis = counted(_registry(a_receipt(), settings=WITH_COST, bill=free), names.OPERATION_COST)
    unknown = counted(
        _registry(a_receipt(), settings=WITH_COST, bill=NO_BILL), names.OPERATION_COST
    )

    assert [numbers[:2] for _, numbers in gratis] == [[0, 1]]
    assert unknown == []


def test_every_request_is_timed_by_http_rules_metered_or_not() -> None:
    registry = _registry(
        a_receipt(),
        a_receipt(kind="passthrough", method="GET", route="/openai/*", duration_ns=5_000_000),
        a_denial(http_version="1.0"),
        settings=MetricSettings(url_scheme="https"),
    )

    requests = counted(registry, names.HTTP_SERVER_DURATION)

    https = {"url.scheme": "https"}
    answered = {"http.response.status_code": "200", "network.protocol.version": "1.1"}
    denied = {"http.response.status_code": "402", "network.protocol.version": "1.0"}
    chat = {"http.request.method": "POST", "http.route": "/v1/chat/completions"}
    assert [(labels, numbers[0]) for labels, numbers in requests] == [
        (https | chat | answered, 1_500_000_000),
        (https | answered | {"http.request.method": "GET", "http.route": "/openai/*"}, 5_000_000),
        (https | chat | denied | {"error.type": "budget_exceeded"}, 2_000_000),
    ]


def test_a_request_without_a_status_and_with_an_odd_method_is_timed_too() -> None:
    left = a_receipt(outcome="cancelled", http_status=None, method="BREW", error_type="left")

    registry = _registry(left, settings=MetricSettings())

    [(labels, _)] = counted(registry, names.HTTP_SERVER_DURATION)
    assert labels == {
        "http.request.method": "_OTHER", "url.scheme": "http", "error.type": "left",
        "http.route": "/v1/chat/completions", "network.protocol.version": "1.1",
    }  # fmt: skip


def test_a_failed_inference_begins_its_token_counters_and_observes_no_usage() -> None:
    failed = a_receipt(
        outcome="provider_error", error_type="overloaded_error", usage=None,
        attempts=(an_attempt(status=529),),
    )  # fmt: skip

    registry = _registry(failed, settings=MetricSettings(semconv="both"), bill=NO_BILL)

    for metric in (names.INPUT_TOKENS, names.OUTPUT_TOKENS):
        [(labels, numbers)] = counted(registry, metric)
        assert (labels["gen_ai.token.modality"], numbers) == ("unknown", [0])
    for metric in (names.OPERATION_INPUT, names.OPERATION_OUTPUT, names.TOKEN_USAGE, names.TOKENS):
        assert counted(registry, metric) == []


def test_a_failed_inference_counts_the_usage_that_was_reported() -> None:
    cut = a_receipt(
        outcome="provider_error",
        error_type="stream_interrupted",
        usage=Usage(input_tokens=100, input_text_tokens=100),
    )

    registry = _registry(cut, settings=MetricSettings())

    inputs = counted(registry, names.INPUT_TOKENS)
    assert [(labels["gen_ai.token.modality"], numbers) for labels, numbers in inputs] == [
        ("unknown", [0]), ("text", [100]),
    ]  # fmt: skip
    assert [numbers[0] for _, numbers in counted(registry, names.OPERATION_INPUT)] == [100]


def test_a_metric_that_is_off_stays_saved_and_goes_on_when_it_is_on_again() -> None:
    settings = MetricSettings(semconv="v1_41")
    rows = _registry(a_receipt(), settings=settings).changed()
    off = _registry(settings=MetricSettings())
    on_again = _registry(settings=settings)

    off.restore(rows)
    on_again.restore(rows)
    on_again.enter(a_receipt(), BILL)

    assert [row for row in off.changed() if row.metric == "gen_ai_client_token_usage"] == []
    assert [numbers[0] for _, numbers in counted(on_again, names.TOKEN_USAGE)] == [200, 40]
