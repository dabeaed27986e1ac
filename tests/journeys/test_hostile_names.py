"""Hostile texts in every place of a call: each call is counted once, and every reader can read."""

import json
import urllib.request
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_classic
from tests.fakes.hostile_texts import HOSTILE
from tests.fakes.otlp_sink import OtlpSink
from tests.fakes.raw_client import RawAnswer, RawClient
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess, Metrics

CHAT = "/v1/chat/completions"
CALLS = "spanmeter_calls_total"
DEEP = "[" * 3000 + "]" * 3000
LONG = "9" * 4000
BODIES = {
    "lone surrogate": b'{"model":"\\ud800","tags":["a:\\udfff"]}',
    "not utf-8": b'{"model":"\xff\xfe","tags":["a:\xc3"]}',
    "cut escape": b'{"model":"\\u00',
    "duplicates": b'{"model":"a","model":"b","tags":[],"tags":{},"stream":1,"stream":false}',
    "numbers": b'{"model":"m","max_tokens":1e999,"temperature":-1e-999,"seed":%s}' % LONG.encode(),
    "types": b'{"model":"m","stream":"yes","tags":{"a":[{}]},"n":[],"stop":{}}',
    "tags too deep": b'{"model":"m","tags":%s}' % (b"[" * 100_000 + b"]" * 100_000),
    "deep": b'{"model":"m","messages":%s}' % (b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "open": b'{"model":' + b"[" * 100_000,
    "long": b'{"model":"%s"}' % (b"x" * 1_000_000),
}
HEADERS = {
    "tags": ("x-tags", "," * 30_000),
    "colons": ("x-tags", ":" * 30_000),
    "pairs": ("x-tags", "a:b," * 10_000),
    "feature": ("x-feature", "x" * 30_000),
    "portkey": ("x-portkey-metadata", DEEP),
    "portkey object": ("x-portkey-metadata", '{"a":' * 3000 + "1" + "}" * 3000),
    "portkey number": ("x-portkey-metadata", f'{{"a":{LONG},"b":1e999,"c":-{LONG}.5}}'),
    "portkey surrogate": ("x-portkey-metadata", '{"a":"\\ud800","\\udfff":"b"}'),
    "cloudflare": ("cf-aig-metadata", DEEP),
    "helicone": ("helicone-property-" + "x" * 5000, "y" * 5000),
    "baggage": ("baggage", "spanmeter.tag.a=%ff%00%0a,spanmeter.feature=%ed%a0%80," * 500),
    "traceparent": ("traceparent", "00-" + "f" * 10_000),
    "tracestate": ("tracestate", "a=b," * 10_000),
    "provider": ("x-provider", "a" * 30_000),
}


@pytest.fixture(scope="module")
def gateway(provider: ReplayProvider, sink: OtlpSink) -> Iterator[GatewayProcess]:
    here = {"provider": "openai", "base_url": provider.base_url}
    upstreams = {"openai": here, "gemini": here | {"provider": "gemini"}}
    settings = {"tags": {"labels": ["env", "a"]}, "spool": {"flush_interval_s": 0.05}}
    with GatewayProcess(upstreams=upstreams, settings=settings, environ=sink.environ) as running:
        yield running


def counted(metrics: Metrics) -> float:
    return metrics.total(CALLS) + metrics.total("spanmeter_passthrough_total")


def scraped(gateway: GatewayProcess, accept: str) -> str:
    request = urllib.request.Request(f"{gateway.books_url}/metrics", headers={"accept": accept})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return str(answer.read().decode())


def as_header(text: str) -> str:
    """Take out what ends a header's line, or a request."""
    return "".join(letter for letter in text if letter not in "\r\n\0")


def send(
    gateway: GatewayProcess, body: bytes, *headers: tuple[str, str], to: str = CHAT
) -> RawAnswer:
    with RawClient(gateway.url) as client:
        return client.call(to, body, headers=[("x-script", "chat"), *headers])


def test_every_reader_can_read_what_hostile_calls_leave(
    gateway: GatewayProcess, sink: OtlpSink
) -> None:
    answers = []
    for text in HOSTILE:
        name = as_header(text)
        tags = {"env": text, text: "a"}
        headers = [("x-feature", name), ("x-task", name), ("cf-aig-metadata", json.dumps(tags))]
        body = {"model": text, "tags": [text, f"env:{text}"]}
        answers.append(send(gateway, json.dumps(body).encode(), *headers))
        answers.append(send(gateway, b"{}", to=f"/v1beta/models/{quote(text)}:generateContent"))
    answers += [send(gateway, body) for body in BODIES.values()]
    answers += [send(gateway, b'{"model":"m"}', header) for header in HEADERS.values()]

    # What is no HTTP is answered outside any call.
    calls = [answer for answer in answers if b"malformed_http" not in answer.body]
    metrics = gateway.wait_metrics(lambda now: counted(now) >= len(calls))
    sink.wait(lambda spans: sum(span.kind == "SERVER" for span in spans) >= len(calls))
    openmetrics = scraped(gateway, "application/openmetrics-text; version=1.0.0")

    assert len(calls) > len(answers) * 0.8
    assert {answer.status for answer in answers} <= {200, 400, 404, 431}
    assert counted(metrics) == len(calls)
    assert len(list(read_classic(metrics.text))) > 10
    assert len(list(read_openmetrics(openmetrics))) > 10
    assert metrics.total(CALLS, spanmeter_feature="forged") == 0


def test_a_path_of_slashes_keeps_nobody_waiting(gateway: GatewayProcess) -> None:
    path = "/v1beta/models" + "/" * 60_000 + ":generateContent"

    assert send(gateway, b"{}", to=path).status in {200, 400, 404}
    assert send(gateway, b'{"model":"m"}').status == 200
