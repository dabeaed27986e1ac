import subprocess
from decimal import Decimal
from importlib.metadata import version

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_classic
from tests.components import require
from tests.gateway.telemetry.samples import BILL, a_denial, a_receipt, an_attempt

from spanmeter.usage import Usage
from spanmeter_gateway.bill import Bill, ClassAmount
from spanmeter_gateway.receipt import CHUNK_SECONDS
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.exposition import render
from spanmeter_gateway.telemetry.metric import MetricSettings
from spanmeter_gateway.telemetry.registry import Registry

ALL_USAGE = Usage(
    input_tokens=100, output_tokens=20, cache_read_tokens=5, cache_write_tokens=5,
    reasoning_tokens=5,
)  # fmt: skip
OPENMETRICS = "application/openmetrics-text; version=1.0.0, text/plain;q=0.5"


CHUNK_TIMES = (3_000_000, 2, *[0] * len(CHUNK_SECONDS))
EVERYTHING = MetricSettings(
    semconv="both", switches=frozenset(filter(None, [metric.switch for metric in names.METRICS]))
)


def _busy_registry(settings: MetricSettings = EVERYTHING) -> Registry:
    """Return a registry in which every metric has a series that has been collected once."""
    registry = Registry(settings=settings)
    receipts = [
        a_receipt(tags=(("env", "prod"), ("cost-center", 'a"b\\c\nd é')), stream=True),
        a_denial(violations=(("malformed", "x"),)),
        a_receipt(kind="passthrough"),
        a_receipt(operation="embeddings", unmetered="not_reported"),
        a_receipt(
            stream=True,
            usage=ALL_USAGE,
            attempts=(an_attempt(first_chunk_ns=5_000_000, chunk_times=CHUNK_TIMES),),
        ),
    ]
    for receipt in receipts:
        registry.enter(receipt, BILL)
    registry.enter(a_receipt(), Bill(unpriced="unknown_model"))
    for metric in names.METRICS:
        labels = ("x",) * len(metric.attributes)
        if metric.kind == "counter" and not metric.tagged:
            registry.add(metric.prometheus_name, labels, 2)
        elif metric.kind in {"gauge", "updowncounter"} and metric is not names.BUILD_INFO:
            registry.set_gauge(metric.prometheus_name, labels, 7)
    registry.set_gauge(names.BOOKS_LAG.prometheus_name, (), 0.25)
    registry.collect()
    return registry


def _lines(registry: Registry, name: str) -> list[str]:
    body, _ = render(registry, None)
    return [line for line in body.decode().splitlines() if line.startswith(name)]


def test_the_busy_registry_prints_every_metric():
    body, _ = render(_busy_registry(), OPENMETRICS)

    printed = {
        sample.name.removesuffix("_count")
        for family in read_openmetrics(body.decode())
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_sum"))
    }

    assert printed == set(names.METRIC_BY_NAME)


def test_promtool_finds_nothing_to_complain_about():
    body, _ = render(_busy_registry(), None)

    check = subprocess.run(
        [require("promtool"), "check", "metrics"], input=body, capture_output=True, timeout=30
    )

    assert (check.returncode, check.stdout + check.stderr) == (0, b"")


def test_a_counter_is_printed_with_its_labels_translated():
    assert _lines(_busy_registry(), "spanmeter_passthrough_total") == [
        'spanmeter_passthrough_total{spanmeter_feature="checkout",spanmeter_task="",'
        'gen_ai_provider_name="openai",spanmeter_outcome="ok",error_type="",spanmeter_tag_env="",'
        'spanmeter_tag_team="",spanmeter_tag_project="",spanmeter_tag_cost_center=""} 1.0'
    ]


def test_a_histogram_is_printed_cumulatively_in_seconds():
    registry = Registry(())
    registry.enter(a_receipt(duration_ns=1_500_000_000), BILL)
    registry.enter(a_receipt(duration_ns=500_000_000), BILL)
    registry.collect()

    body, _ = render(registry, None)

    samples = {
        (sample.name.removeprefix("spanmeter_call_duration_seconds"), sample.labels.get("le")):
        sample.value
        for family in read_classic(body.decode())
        for sample in family.samples
        if sample.name.startswith("spanmeter_call_duration_seconds")
    }  # fmt: skip
    bounds = ["0.1", "0.25", "0.5", "1.0", "2.0", "5.0", "10.0", "20.0", "40.0", "60.0", "80.0"]
    counts = dict(zip(bounds, [0, 0, 1, 1, *[2] * 7], strict=True))
    buckets = {("_bucket", le): count for le, count in counts.items()}
    assert samples == buckets | {
        ("_bucket", "120.0"): 2, ("_bucket", "+Inf"): 2, ("_count", None): 2, ("_sum", None): 2.0,
    }  # fmt: skip


def test_any_text_is_a_label_value_and_comes_back_as_sent():
    text = 'a"b\\c\nd é'
    body, _ = render(_busy_registry(), None)

    values = {
        sample.labels.get("spanmeter_tag_cost_center")
        for family in read_classic(body.decode())
        for sample in family.samples
    }

    assert text in values


@given(st.text(max_size=20))
def test_both_formats_give_back_any_label_value(text: str):
    registry = Registry(())
    registry.enter(a_receipt(feature=text), BILL)

    classic, _ = render(registry, None)
    openmetrics, _ = render(registry, OPENMETRICS)

    for families in (read_classic(classic.decode()), read_openmetrics(openmetrics.decode())):
        calls = next(family for family in families if family.name == "spanmeter_calls")
        assert {sample.labels["spanmeter_feature"] for sample in calls.samples} == {text}


def test_a_later_openmetrics_is_answered_with_the_version_that_is_written():
    _, content_type = render(Registry(), "application/openmetrics-text; version=2.0.0")

    assert content_type.startswith("application/openmetrics-text; version=1.0.0")


def test_openmetrics_is_given_to_those_who_ask_and_says_the_same():
    registry = _busy_registry()

    classic, classic_type = render(registry, "text/plain")
    body, content_type = render(registry, OPENMETRICS)

    assert classic_type == "text/plain; version=0.0.4; charset=utf-8"
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert [
        sample._replace(exemplar=None)
        for family in read_openmetrics(body.decode())
        for sample in family.samples
    ] == [sample for family in read_classic(classic.decode()) for sample in family.samples]


def test_there_are_no_created_series():
    assert b"_created" not in render(_busy_registry(), OPENMETRICS)[0]


def test_the_build_says_which_version_runs():
    assert _lines(Registry(), "spanmeter_build_info") == [
        f'spanmeter_build_info{{version="{version("spanmeter-gateway")}"}} 1.0'
    ]


def test_gauges_are_printed_as_they_were_set():
    registry = _busy_registry()

    assert _lines(registry, "spanmeter_books_lag_seconds") == ["spanmeter_books_lag_seconds 0.25"]
    assert _lines(registry, "spanmeter_request_active") == ["spanmeter_request_active 7.0"]


@given(st.integers(0, 999_999_999_999_999))
def test_money_below_a_million_dollars_is_printed_exactly(nanos: int):
    registry = Registry(())
    bill = Bill(cost_nanos=(ClassAmount("total", nanos),), source="provider")
    registry.enter(a_receipt(), bill)
    registry.collect()

    [line] = _lines(registry, "spanmeter_cost_usd_total")

    assert Decimal(line.split()[-1]) == Decimal(nanos) / 10**9


def test_a_missing_component_is_named_or_demanded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SPANMETER_REQUIRE", raising=False)
    with pytest.raises(pytest.skip.Exception, match="component no-such-program"):
        require("no-such-program")

    monkeypatch.setenv("SPANMETER_REQUIRE", "all")
    with pytest.raises(pytest.fail.Exception, match="component no-such-program"):
        require("no-such-program")
