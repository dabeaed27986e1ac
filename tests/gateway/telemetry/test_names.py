from spanmeter_gateway.telemetry import names


def _translated(metric: names.Metric) -> str:
    # https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/
    unit = {"s": "_seconds", "By": "_bytes"}.get(metric.unit, "")
    return metric.name.replace(".", "_") + unit + ("_total" if metric.kind == "counter" else "")


def test_every_prometheus_name_is_the_standard_translation_of_the_otlp_name():
    translated = {metric.name: _translated(metric) for metric in names.METRICS}

    assert {metric.name: metric.prometheus_name for metric in names.METRICS} == translated


def test_no_two_metrics_share_a_name():
    assert len(names.METRIC_BY_NAME) == len(names.METRICS)


def test_a_tag_key_becomes_a_label_that_prometheus_takes():
    assert names.label("spanmeter.tag.cost-center") == "spanmeter_tag_cost_center"
    assert names.label("gen_ai.request.model") == "gen_ai_request_model"
    assert names.label("spanmeter.tag.a.-b") == "spanmeter_tag_a_b"


def test_the_latency_alert_stands_exactly_on_a_bucket():
    assert 20.0 in names.WAIT_SECONDS
    assert (names.WAIT_SECONDS[0], names.WAIT_SECONDS[-1]) == (0.1, 120.0)


def test_buckets_rise_and_only_histograms_have_them():
    assert all(tuple(sorted(set(metric.buckets))) == metric.buckets for metric in names.METRICS)
    assert all(bool(metric.buckets) == (metric.kind == "histogram") for metric in names.METRICS)


def test_every_metric_is_described_by_a_sentence():
    assert all(metric.description.endswith(".") for metric in names.METRICS)
