"""The shipped configuration is what it says it is: valid, current, and as strict as names.py."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.collector.other_application import send_spans
from tests.collector_process import CONFIG, CollectorProcess, shipped, validate
from tests.fakes.otlp_grpc_door import grpc_door
from tests.fakes.otlp_sink import OtlpSink
from tests.processes import wait_until

from spanmeter_gateway.telemetry import names

BUILDER = CONFIG.parent / "deploy/collector/builder.yaml"
KINDS = ("extensions", "receivers", "processors", "exporters")
MODULES = {
    "healthcheckextension": "health_check",
    "filestorage": "file_storage",
    "otlpreceiver": "otlp",
    "filterprocessor": "filter",
    "memorylimiterprocessor": "memory_limiter",
    "redactionprocessor": "redaction",
    "tailsamplingprocessor": "tail_sampling",
    "transformprocessor": "transform",
    "otlpexporter": "otlp_grpc",
    "prometheusexporter": "prometheus",
}
# Set by an operator, in OTEL_RESOURCE_ATTRIBUTES (semantic-conventions, docs/resource).
OPERATORS = {"deployment.environment.name", "service.namespace"}
METRICS_ONLY = {names.TOKEN_CLASS, names.TOKEN_MODALITY, names.TOKEN_TYPE}
EVENTS_ONLY = {names.DROPPED_COUNT, names.DROPPED_REASONS, names.DROPPED_SOURCES}
RESOURCE_ONLY = {names.SERVICE_NAME, names.SERVICE_VERSION, names.SERVICE_INSTANCE}


@pytest.fixture
def collector() -> Iterator[CollectorProcess]:
    with OtlpSink() as sink, grpc_door(sink) as door, CollectorProcess(traces_to=door) as running:
        send_spans(running.http_endpoint)
        sink.wait(lambda spans: len(spans) >= 2)
        yield running


def test_the_shipped_file_is_valid_as_it_stands() -> None:
    done = validate()

    assert (done.returncode, done.stderr) == (0, "")


def test_a_running_collector_has_nothing_to_complain_of(collector: CollectorProcess) -> None:
    collector.stop()

    complaints = [
        line
        for line in collector.log
        if line["level"] != "info"
        or re.search("deprecat|alias|please rewrite|legacy config", line["msg"], re.IGNORECASE)
    ]

    assert complaints == []


def test_it_tells_about_itself_under_the_names_that_rules_use(collector: CollectorProcess) -> None:
    names = {
        "otelcol_exporter_queue_size",
        "otelcol_exporter_queue_capacity",
        "otelcol_exporter_sent_spans",
        "otelcol_receiver_accepted_spans",
        "otelcol_process_uptime",
    }

    def told() -> set[str]:
        return set(re.findall(r"^(\w+?)[{ ]", collector.own_metrics(), re.MULTILINE))

    # What was sent is counted when the answer is back, a little after it has arrived.
    wait_until(lambda: names <= told())


def test_the_builder_takes_exactly_what_the_file_uses() -> None:
    manifest = yaml.safe_load(BUILDER.read_text())
    built = {
        kind: {MODULES[Path(each["gomod"].split()[0]).name] for each in manifest[kind]}
        for kind in KINDS
    }

    used = {kind: {name.partition("/")[0] for name in shipped()[kind]} for kind in KINDS}

    assert built == used


def test_each_component_is_in_use() -> None:
    service = shipped()["service"]
    in_use = {kind: set(service.get(kind, [])) for kind in KINDS}
    for pipeline in service["pipelines"].values():
        for kind in KINDS[1:]:
            in_use[kind] |= set(pipeline[kind])

    assert {kind: set(shipped()[kind]) for kind in KINDS} == in_use


def test_span_attributes_that_may_leave_are_those_of_the_contract() -> None:
    assert _kept("trace_statements", "span.attributes") == (
        _attributes() - METRICS_ONLY - EVENTS_ONLY - RESOURCE_ONLY
    )


def test_event_attributes_that_may_leave_are_those_of_the_contract() -> None:
    assert _kept("trace_statements", "spanevent.attributes") == EVENTS_ONLY


def test_labels_that_may_leave_are_those_of_the_contract() -> None:
    labels = {attribute for metric in names.METRICS for attribute in metric.attributes}

    assert _kept("metric_statements", "datapoint.attributes") == labels


@pytest.mark.parametrize("signal", ["trace_statements", "metric_statements"])
def test_resource_attributes_that_may_leave_are_ours_and_two_of_an_operator(signal: str) -> None:
    assert _kept(signal, "resource.attributes") == RESOURCE_ONLY | OPERATORS


def test_privacy_comes_before_sampling_and_fails_closed() -> None:
    config = shipped()
    nets = [name for name in config["processors"] if name.startswith(("filter", "transform"))]

    assert config["service"]["pipelines"]["traces"]["processors"] == [
        "memory_limiter",
        "filter/unknown",
        "transform/known_names",
        "redaction/secrets",
        "transform/span_names",
        "tail_sampling",
    ]
    assert config["service"]["pipelines"]["metrics"]["processors"] == [
        "memory_limiter",
        "transform/known_names",
        "redaction/labels",
    ]
    assert {config["processors"][name]["error_mode"] for name in nets} == {"propagate"}


def test_everything_listens_on_loopback_unless_told_otherwise() -> None:
    config = shipped()
    endpoints = [
        config["extensions"]["health_check"]["endpoint"],
        *(each["endpoint"] for each in config["receivers"]["otlp"]["protocols"].values()),
        config["exporters"]["prometheus"]["endpoint"],
        _own(config)["host"] + f":{_own(config)['port']}",
    ]

    assert endpoints == [
        f"${{env:OTELCOL_HOST:-127.0.0.1}}:{port}" for port in (13133, 4317, 4318, 8889, 8888)
    ]


def _own(config: Mapping[str, Any]) -> Mapping[str, Any]:
    reader = config["service"]["telemetry"]["metrics"]["readers"][0]
    found: Mapping[str, Any] = reader["pull"]["exporter"]["prometheus"]
    return found


def _attributes() -> set[str]:
    # Attributes have dots and no other characters; so has the name of the event.
    texts = {value for name, value in vars(names).items() if name.isupper() and _is_text(value)}
    dotted = {text for text in texts if re.fullmatch(r"[a-z_]+(\.[a-z_0-9]+)+", text)}
    parameters = {name for name, _ in names.PARAMETERS.values()}
    return (dotted - {names.TAGS_DROPPED_EVENT}) | parameters | set(names.USAGE.values())


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _kept(signal: str, path: str) -> set[str]:
    statements = [
        statement
        for group in shipped()["processors"]["transform/known_names"][signal]
        for statement in group["statements"]
        if statement.startswith(f"keep_keys({path},")
    ]
    assert len(statements) == 1, "one list of what is kept"
    return set(re.findall(r'"([^"]+)"', statements[0]))
