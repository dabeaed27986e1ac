"""Where OTLP goes, and how: the standard variables, read once, and named when they are wrong.

OpenTelemetry specification, "OpenTelemetry Protocol Exporter" and "Environment Variable
Specification". A signal's own variable comes before the general one. Durations are milliseconds
as the specification says, for the time-outs too, which the Python SDK takes for seconds
(opentelemetry-python issue 4044). Headers are left to the SDK's exporters and only checked here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from spanmeter_gateway.errors import ConfigError, ConfigProblem

Signal = Literal["traces", "metrics"]
Protocol = Literal["grpc", "http/protobuf"]
Compression = Literal["none", "gzip", "deflate"]
Temporality = Literal["cumulative", "delta"]

GENERAL = "OTEL_EXPORTER_OTLP_{}"
OWN: Mapping[Signal, str] = {
    "traces": "OTEL_EXPORTER_OTLP_TRACES_{}",
    "metrics": "OTEL_EXPORTER_OTLP_METRICS_{}",
}
SUFFIXES = (
    "ENDPOINT", "PROTOCOL", "HEADERS", "TIMEOUT", "COMPRESSION", "INSECURE", "CERTIFICATE",
    "CLIENT_CERTIFICATE", "CLIENT_KEY",
)  # fmt: skip
"""The settings that have a variable for all signals and one for each."""
_EXPORTERS: Mapping[Signal, str] = {
    "traces": "OTEL_TRACES_EXPORTER",
    "metrics": "OTEL_METRICS_EXPORTER",
}
_PATH: Mapping[Signal, str] = {"traces": "/v1/traces", "metrics": "/v1/metrics"}
_PROTOCOLS: Mapping[str, Protocol] = {"grpc": "grpc", "http/protobuf": "http/protobuf"}
_COMPRESSIONS: Mapping[str, Compression] = {"none": "none", "gzip": "gzip", "deflate": "deflate"}
_TEMPORALITY = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
_TEMPORALITIES: Mapping[str, Temporality] = {
    "cumulative": "cumulative",
    "delta": "delta",
    "lowmemory": "delta",
}
# Nobody means less, but for who writes seconds.
_SHORTEST_MS = 100
_LONGEST_MS = 86_400_000
# What the SDK's parser takes; of anything else it logs the text, which may be a secret.
_GRPC_NAME = re.compile("[0-9a-z_.-]+")
_HEADER = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+[ \t]*=[ !#-+\--:<-\[\]-~]*")


@dataclass(frozen=True, slots=True)
class OtlpSettings:
    """How one signal is exported."""

    signal: Signal
    endpoint: str
    """The whole URL; of gRPC only scheme, host and port count, and the scheme may be missing."""
    protocol: Protocol = "http/protobuf"
    timeout_s: float = 10.0
    """For one request, its retries included."""
    compression: Compression = "none"
    is_insecure: bool = False
    """gRPC: without TLS."""
    ca_file: str | None = None
    client_cert_file: str | None = None
    client_key_file: str | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """When all metrics are exported, and what they are counted from."""

    interval_s: float = 60.0
    timeout_s: float = 30.0
    """For one export, however many requests it takes."""
    temporality: Temporality = "cumulative"


def read_settings(environ: Mapping[str, str], signal: Signal) -> OtlpSettings | None:
    """Read how a signal is exported; `None`: it is not. Raises `ConfigError`."""
    variables = _Variables(environ, signal)
    settings = _settings(variables) if _is_on(environ, signal) else None
    variables.check()
    return settings


def read_schedule(environ: Mapping[str, str]) -> Schedule:
    """Read when metrics are exported; raises `ConfigError`, unless they are not.

    Specification, "Periodic exporting MetricReader" and "Metrics Exporter - OTLP": `lowmemory` is
    delta for synchronous instruments, and all our counters and histograms are such. A preference
    that is not known is ignored.
    """
    variables = _Variables(environ, "metrics")
    interval_s = variables.seconds("OTEL_METRIC_EXPORT_INTERVAL", 60.0)
    timeout_s = variables.seconds("OTEL_METRIC_EXPORT_TIMEOUT", 30.0)
    if _is_on(environ, "metrics"):
        variables.check()
    temporality = _TEMPORALITIES.get(_wanted_temporality(environ), "cumulative")
    return Schedule(interval_s, timeout_s, temporality)


def ignored_temporality(environ: Mapping[str, str]) -> str | None:
    """Say so where the preference is one that is not known."""
    wanted = _wanted_temporality(environ)
    if not wanted or wanted in _TEMPORALITIES:
        return None
    return f"{_TEMPORALITY}: {wanted!r} is not known; metrics are cumulative"


def _wanted_temporality(environ: Mapping[str, str]) -> str:
    return environ.get(_TEMPORALITY, "").strip().lower()


def problems(environ: Mapping[str, str]) -> list[ConfigProblem]:
    """Say everything that is wrong with the variables of the signals that are exported."""
    found: list[ConfigProblem] = []
    for signal in OWN:
        try:
            read_settings(environ, signal)
        except ConfigError as error:
            found.extend(error.problems)
    try:
        read_schedule(environ)
    except ConfigError as error:
        found.extend(error.problems)
    return list(dict.fromkeys(found))


def _is_on(environ: Mapping[str, str], signal: Signal) -> bool:
    endpoints = (OWN[signal].format("ENDPOINT"), GENERAL.format("ENDPOINT"))
    exporters = environ.get(_EXPORTERS[signal], "").lower().replace(",", " ").split() or ["otlp"]
    is_disabled = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    is_named = any(environ.get(name, "").strip() for name in endpoints)
    return is_named and "otlp" in exporters and not is_disabled


@dataclass(frozen=True, slots=True)
class _Variables:
    """The variables of one signal, and what is wrong with them."""

    environ: Mapping[str, str]
    signal: Signal
    found: list[ConfigProblem] = field(default_factory=list)

    def check(self) -> None:
        """Raise `ConfigError` when something was noted."""
        if self.found:
            raise ConfigError(self.found)

    def note(self, variable: str, problem: str) -> None:
        self.found.append(ConfigProblem("environment", variable, problem))

    def find(self, suffix: str) -> tuple[str, str]:
        """Return the variable that counts, and its text; empty where none is set."""
        own, general = OWN[self.signal].format(suffix), GENERAL.format(suffix)
        name = own if self.environ.get(own, "").strip() else general
        return name, self.environ.get(name, "").strip()

    def seconds(self, variable: str, default_s: float) -> float:
        text = self.environ.get(variable, "").strip()
        if not text:
            return default_s
        try:
            milliseconds = float(text)
        except ValueError:
            milliseconds = 0.0
        if not _SHORTEST_MS <= milliseconds <= _LONGEST_MS:
            limits = f"{_SHORTEST_MS} to {_LONGEST_MS}"
            self.note(variable, f"{text!r} is not a number of milliseconds from {limits}")
            return default_s
        return milliseconds / 1000

    def file(self, suffix: str) -> str | None:
        variable, path = self.find(suffix)
        if not path:
            return None
        try:
            if not Path(path).read_bytes():
                self.note(variable, f"{path} is empty")
        except OSError as error:
            self.note(variable, f"cannot read {path}: {error.strerror}")
        return path


def _settings(variables: _Variables) -> OtlpSettings:
    variable, text = variables.find("PROTOCOL")
    protocol = _PROTOCOLS.get(text.lower() or "http/protobuf")
    if protocol is None:
        variables.note(variable, f"{text!r} is not supported: use grpc or http/protobuf")
        protocol = "http/protobuf"
    endpoint, is_insecure = _endpoint(variables, protocol)
    _check_headers(variables, protocol)
    timeout, _ = variables.find("TIMEOUT")
    client_cert_file, client_key_file = _client_files(variables, protocol)
    return OtlpSettings(
        variables.signal,
        endpoint,
        protocol,
        timeout_s=variables.seconds(timeout, 10.0),
        compression=_compression(variables, protocol),
        is_insecure=is_insecure,
        ca_file=variables.file("CERTIFICATE"),
        client_cert_file=client_cert_file,
        client_key_file=client_key_file,
    )


def _client_files(variables: _Variables, protocol: Protocol) -> tuple[str | None, str | None]:
    certificate, key = variables.file("CLIENT_CERTIFICATE"), variables.file("CLIENT_KEY")
    # Over HTTP one file may hold both.
    if certificate is None and key is not None:
        variables.note(variables.find("CLIENT_KEY")[0], "is a key without CLIENT_CERTIFICATE")
    elif key is None and certificate is not None and protocol == "grpc":
        variables.note(variables.find("CLIENT_CERTIFICATE")[0], "needs CLIENT_KEY beside it")
    return certificate, key


def _endpoint(variables: _Variables, protocol: Protocol) -> tuple[str, bool]:
    """Return the URL that requests go to, and whether gRPC goes without TLS."""
    variable, text = variables.find("ENDPOINT")
    insecure = variables.find("INSECURE")[1].lower()
    try:
        url = urlsplit(text)
        is_url = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:  # a port that is no number
        is_url = False
    # gRPC knows addresses without a scheme, for which INSECURE says whether there is TLS.
    if protocol == "grpc" and not is_url and insecure and "/" not in text:
        return text, insecure == "true"
    if not is_url:
        variables.note(
            variable, f"{_shown(text)} is not a URL such as http://collector:{_port(protocol)}"
        )
        return text, False
    if protocol == "http/protobuf" and variable == GENERAL.format("ENDPOINT"):
        text = text.removesuffix("/") + _PATH[variables.signal]
    return text, protocol == "grpc" and url.scheme == "http"


def _shown(text: str) -> str:
    """Show an address without what may be a password in it."""
    return repr(text.rpartition("@")[2])


def _port(protocol: Protocol) -> int:
    return 4317 if protocol == "grpc" else 4318


def _check_headers(variables: _Variables, protocol: Protocol) -> None:
    variable, text = variables.find("HEADERS")
    parts = [part for piece in text.split(",") if (part := piece.strip())]
    if not all(map(_HEADER.fullmatch, parts)):
        variables.note(variable, "is not a list of name=value,name=value with URL-encoded values")
    elif protocol == "grpc" and not all(map(_fits_grpc, parts)):
        variables.note(variable, "has a name or value that gRPC cannot send as text")


def _fits_grpc(header: str) -> bool:
    """Tell whether gRPC takes a header as text (grpc, doc/PROTOCOL-HTTP2.md, Custom-Metadata)."""
    name, _, value = header.partition("=")
    name, value = name.strip().lower(), unquote(value)
    is_name = _GRPC_NAME.fullmatch(name) is not None and not name.endswith("-bin")
    return is_name and value.isascii() and value.isprintable()


def _compression(variables: _Variables, protocol: Protocol) -> Compression:
    variable, text = variables.find("COMPRESSION")
    compression = _COMPRESSIONS.get(text.lower() or "none")
    if compression is None or (compression, protocol) == ("deflate", "grpc"):
        variables.note(variable, f"{text!r} is not supported: use gzip or none")
        return "none"
    return compression
