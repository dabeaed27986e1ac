from pathlib import Path
from typing import get_args

import pytest

from spanmeter_gateway.errors import ConfigError
from spanmeter_gateway.telemetry.otlp_settings import (
    GENERAL,
    OWN,
    SUFFIXES,
    OtlpSettings,
    Schedule,
    Signal,
    ignored_temporality,
    problems,
    read_schedule,
    read_settings,
)

SIGNALS: tuple[Signal, ...] = get_args(Signal)
HERE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}
DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("signal", SIGNALS)
def test_an_endpoint_for_all_gets_the_signals_path_over_http(signal: Signal):
    settings = read_settings({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c:1/otlp/"}, signal)

    assert settings == OtlpSettings(signal, f"https://c:1/otlp/v1/{signal}")


@pytest.mark.parametrize("signal", SIGNALS)
def test_an_endpoint_of_its_own_is_used_as_it_stands(signal: Signal):
    environ = HERE | {OWN[signal].format("ENDPOINT"): "http://d/"}

    assert read_settings(environ, signal) == OtlpSettings(signal, "http://d/")


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_signals_own_variables_come_before_the_general_ones(signal: Signal, tmp_path: Path):
    files = {name: str(tmp_path / name) for name in ("ca", "cert", "key")}
    for path in files.values():
        Path(path).write_text("x")
    own = {
        "ENDPOINT": "https://d:4317", "PROTOCOL": "grpc", "TIMEOUT": "1500", "COMPRESSION": "gzip",
        "CERTIFICATE": files["ca"], "CLIENT_CERTIFICATE": files["cert"],
        "CLIENT_KEY": files["key"],
    }  # fmt: skip
    general = {GENERAL.format(suffix): "wrong" for suffix in SUFFIXES}

    settings = read_settings(
        general
        | {GENERAL.format("HEADERS"): "a=b"}
        | {OWN[signal].format(suffix): text for suffix, text in own.items()},
        signal,
    )

    assert settings == OtlpSettings(
        signal, "https://d:4317", "grpc", timeout_s=1.5, compression="gzip",
        ca_file=files["ca"], client_cert_file=files["cert"], client_key_file=files["key"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("endpoint", "insecure", "expected"),
    [
        ("http://c:4317", "", ("http://c:4317", True)),
        ("http://c:4317", "false", ("http://c:4317", True)),
        ("https://c:4317", "true", ("https://c:4317", False)),
        ("c:4317", "true", ("c:4317", True)),
        ("c:4317", "false", ("c:4317", False)),
    ],
)
def test_grpc_goes_without_tls_where_the_scheme_or_else_the_variable_says_so(
    endpoint: str, insecure: str, expected: tuple[str, bool]
):
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_INSECURE": insecure,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }

    settings = read_settings(environ, "metrics")

    assert settings is not None
    assert (settings.endpoint, settings.is_insecure) == expected


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        HERE | {"OTEL_SDK_DISABLED": "True"},
        HERE | {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"},
        HERE | {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "prometheus"},
        {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://c:4318"},
    ],
)
def test_a_signal_is_not_exported_without_an_endpoint_or_where_it_is_turned_off(
    environ: dict[str, str], signal: Signal
):
    assert read_settings(environ, signal) is None


@pytest.mark.parametrize("exporters", ["", "otlp", "prometheus, otlp"])
def test_otlp_may_be_one_exporter_of_several(exporters: str):
    settings = read_settings(HERE | {"OTEL_METRICS_EXPORTER": exporters}, "metrics")

    assert settings == OtlpSettings("metrics", "http://c:4318/v1/metrics")


@pytest.mark.parametrize(
    ("suffix", "text", "problem"),
    [
        ("PROTOCOL", "http/json", "'http/json' is not supported: use grpc or http/protobuf"),
        ("ENDPOINT", "c:4318", "'c:4318' is not a URL such as http://collector:4318"),
        ("ENDPOINT", "http://", "'http://' is not a URL such as http://collector:4318"),
        ("ENDPOINT", "http://c:x", "'http://c:x' is not a URL such as http://collector:4318"),
        ("ENDPOINT", "me:secret@c", "'c' is not a URL such as http://collector:4318"),
        ("COMPRESSION", "zstd", "'zstd' is not supported: use gzip or none"),
        ("TIMEOUT", "10s", "'10s' is not a number of milliseconds from 100 to 86400000"),
        ("TIMEOUT", "10", "'10' is not a number of milliseconds from 100 to 86400000"),
        ("TIMEOUT", "inf", "'inf' is not a number of milliseconds from 100 to 86400000"),
        ("TIMEOUT", "nan", "'nan' is not a number of milliseconds from 100 to 86400000"),
        (
            "HEADERS",
            'authorization="secret"',
            "is not a list of name=value,name=value with URL-encoded values",
        ),
        (
            "CERTIFICATE",
            "/nowhere/ca.pem",
            "cannot read /nowhere/ca.pem: No such file or directory",
        ),
        ("CERTIFICATE", "/dev/null", "/dev/null is empty"),
    ],
)
def test_a_wrong_variable_is_named_with_what_it_should_be(suffix: str, text: str, problem: str):
    variable = OWN["metrics"].format(suffix)

    with pytest.raises(ConfigError) as caught:
        read_settings(HERE | {variable: text}, "metrics")

    assert str(caught.value) == f"environment: {variable}: {problem}"


@pytest.mark.parametrize("header", ["k-bin=YWJj", "x!y=1", "k=%01", "k=%C3%A9"])
def test_a_header_that_grpc_cannot_send_ends_the_start(header: str):
    variable = GENERAL.format("HEADERS")

    with pytest.raises(ConfigError, match="has a name or value that gRPC cannot send as text"):
        read_settings(HERE | {variable: header, GENERAL.format("PROTOCOL"): "grpc"}, "traces")

    assert read_settings(HERE | {variable: header}, "traces") is not None


@pytest.mark.parametrize(
    ("protocol", "given", "problem"),
    [
        ("grpc", "CLIENT_CERTIFICATE", "needs CLIENT_KEY beside it"),
        ("grpc", "CLIENT_KEY", "is a key without CLIENT_CERTIFICATE"),
        ("http/protobuf", "CLIENT_KEY", "is a key without CLIENT_CERTIFICATE"),
    ],
)
def test_a_client_certificate_and_its_key_come_together(
    protocol: str, given: str, problem: str, tmp_path: Path
):
    (tmp_path / "pem").write_text("x")
    variable = GENERAL.format(given)
    environ = HERE | {"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, variable: str(tmp_path / "pem")}

    with pytest.raises(ConfigError) as caught:
        read_settings(environ, "traces")

    assert str(caught.value) == f"environment: {variable}: {problem}"


def test_all_that_is_wrong_is_said_at_once_and_once():
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "collector",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "deflate",
        "OTEL_METRIC_EXPORT_INTERVAL": "1m",
    }

    found = [(problem.key, problem.problem) for problem in problems(environ)]

    assert found == [
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "'collector' is not a URL such as http://collector:4317",
        ),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "'deflate' is not supported: use gzip or none"),
        (
            "OTEL_METRIC_EXPORT_INTERVAL",
            "'1m' is not a number of milliseconds from 100 to 86400000",
        ),
    ]


def test_what_is_turned_off_may_be_wrong():
    assert problems({"OTEL_METRIC_EXPORT_INTERVAL": "1m", "OTEL_EXPORTER_OTLP_TIMEOUT": "?"}) == []


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, Schedule(60.0, 30.0, "cumulative")),
        (
            {"OTEL_METRIC_EXPORT_INTERVAL": "15000", "OTEL_METRIC_EXPORT_TIMEOUT": "500"},
            Schedule(15.0, 0.5, "cumulative"),
        ),
    ],
)
def test_metrics_are_exported_as_often_as_is_asked_for(environ: dict[str, str], expected: Schedule):
    assert read_schedule(environ) == expected


@pytest.mark.parametrize(
    ("preference", "expected"),
    [
        ("", ("cumulative", None)),
        ("Cumulative", ("cumulative", None)),
        ("delta", ("delta", None)),
        ("LOWMEMORY", ("delta", None)),
        (
            "Sideways",
            (
                "cumulative",
                "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: 'sideways' is not known; "
                "metrics are cumulative",
            ),
        ),
    ],
)
def test_a_preference_for_deltas_is_heeded_and_one_that_is_unknown_is_not(
    preference: str, expected: tuple[str, str | None]
):
    variable = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"

    environ = HERE | {variable: preference}

    assert (read_schedule(environ).temporality, ignored_temporality(environ)) == expected


def test_every_variable_of_a_signal_is_documented():
    text = (DOCS / "configuration.md").read_text()

    variables = [
        pattern.format(suffix) for pattern in (GENERAL, *OWN.values()) for suffix in SUFFIXES
    ]

    assert [variable for variable in variables if f"`{variable}`" not in text] == []
