"""Configuration: YAML and environment become a `Config`, or a `ConfigError` that says where.

An input is `NAME=value` lines, a line of three dashes, and the file.
"""

import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml

from fuzz.draw import Draw
from fuzz.target import Target
from spanmeter_gateway.config import Config
from spanmeter_gateway.config_file import load
from spanmeter_gateway.errors import ConfigError

CANARY = "sk-canary-5b1f0c"
"""A secret, in the places where secrets stand; never to be repeated."""
SECRET_PLACES = ("none", "credential", "gateway_key", "header")
VARIABLES = (
    *("SPANMETER_LISTEN", "SPANMETER_BOOKS_LISTEN", "SPANMETER_WORKERS", "SPANMETER_DATA_DIR"),
    *("OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    *("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TIMEOUT"),
    *("OTEL_METRIC_EXPORT_INTERVAL", "OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_METRICS_EXPORTER"),
)
"""Those that may hold anything; those that hold a secret do so in every input."""
MOST_BYTES = 4096


def check(raw: bytes) -> None:
    """Load one configuration."""
    draw = Draw(raw)
    place = draw.one_of(SECRET_PLACES)
    lines, _, text = draw.rest.partition(b"---\n")
    environ = _environ(lines.decode("utf-8", "replace"))
    content = text if place == "none" else _with_secret(place, text)
    if b"/dev/" in content or b"/proc/" in content or b"/sys/" in content:
        return  # to read these may wait for ever, as an operator who names them asks for
    path = Path(_folder().name) / "spanmeter.yaml"
    path.write_bytes(content)
    try:
        config = load(path, environ)
    except ConfigError as error:
        _check_error(error, path)
    else:
        assert Config.from_json(config.to_json()) == config
        assert CANARY not in config.to_json(), "a secret stands in the configuration"
        assert config.upstreams
        assert config.default_upstream in {upstream.name for upstream in config.upstreams}


def _check_error(error: ConfigError, path: Path) -> None:
    assert error.problems
    for problem in error.problems:
        assert problem.file in (str(path), "environment")
        assert problem.key or "line " in problem.problem or problem.problem.startswith(OF_THE_FILE)
        assert problem.problem
    assert CANARY not in str(error), "a secret is repeated"
    str(error).encode()


OF_THE_FILE = ("is not UTF-8 text", "must be a mapping", "not YAML")


def _environ(lines: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in lines.split("\n"))
    given = {name: value for name, _, value in pairs if name in VARIABLES and "\0" not in value}
    return {
        **given,
        "OPENAI_API_KEY": CANARY,
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{CANARY}",
    }


def _with_secret(place: str, text: bytes) -> bytes:
    """Write a secret where an operator may by mistake, with any text around it."""
    around = text.decode("utf-8", "replace")[:64]
    secret = f"{around}{CANARY}{around[::-1]}"
    row = {"base_url": "http://127.0.0.1:9"}
    document: object = {
        "credential": {"upstreams": {"x": {**row, "credential": secret}}},
        "gateway_key": {"gateway_keys": {"team": secret}},
        "header": {"upstreams": {"x": {**row, "headers": {"authorization": secret}}}},
    }[place]
    return yaml.safe_dump(document).encode()


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="spanmeter-fuzz-")


WHOLE_FILE = b"""\
listen: 127.0.0.1:8080
books: {listen: 127.0.0.1:9464}
workers: 2
upstreams:
  openai: {credential: env:OPENAI_API_KEY, timeouts: {connect_s: 5, idle_s: 60.5}}
  house: {base_url: "http://127.0.0.1:8000/api", models: [llama3], headers: {x-a: b}}
  azure: {base_url: https://r.openai.azure.com, api_version: 2024-10-21, forward_trace: true}
default_upstream: house
limits: {body_bytes: 20MB, header_bytes: 64KiB, max_connections: 10}
attribution: {mode: strict, bare_tag_key: tag, feature_from_tag: false}
tags: {labels: [env, team]}
cardinality: {features: 10, pinned: {features: [a], tags: {env: [prod]}}}
semconv: both
metrics: {operation_cost: true}
prices: [{model: m, input_usd_per_mtok: 1.5, output_usd_per_mtok: "2"}]
spool: {max_bytes: 1GB}
drain_s: 5
gateway_keys: {team: env:OPENAI_API_KEY}
"""


def _seeds() -> Iterator[bytes]:
    yield b"\0SPANMETER_WORKERS=3\nOTEL_TRACES_SAMPLER=traceidratio\n---\n" + WHOLE_FILE
    for line in WHOLE_FILE.splitlines(keepends=True):
        if not line.startswith(b" ") and not line.startswith(b"upstreams"):
            yield b"\0---\n" + line
    for place in range(1, len(SECRET_PLACES)):
        yield bytes([place]) + b"---\n"
        yield bytes([place]) + b"---\nenv:"
    yield b"\0SPANMETER_LISTEN=[::1]:80\n---\nupstreams: {x: {base_url: 'http://[::1'}}"


TARGET = Target(
    name="configuration",
    check=check,
    seeds=_seeds,
    words=(
        *(b"---\n", b"upstreams: ", b"base_url: ", b"credential: env:", b"http://", b"https://["),
        *(b"listen: ", b":8080", b"prices: [", b"!!float", b"!!python/", b"&a ", b"*a", b"<<: "),
        *(b"? ", b"{", b"}", b"[", b"]", b": ", b"- ", b"~", b".inf", b".nan", b"1e999", b"0x"),
        *(b"SPANMETER_LISTEN=", b"OTEL_TRACES_SAMPLER_ARG=", b"2001-01-01", b"\xff", b"GiB"),
        *(b"OTEL_EXPORTER_OTLP_ENDPOINT=", b"null", b"true", b"\xe2\x80\xa8", b"\t", b"!!binary"),
    ),
    max_bytes=MOST_BYTES,
)
