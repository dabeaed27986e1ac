"""The trace goes to the gateway, baggage to services, and OpenTelemetry's own hooks fit in."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState
from tests.fakes.replay_provider import ReplayProvider
from tests.in_app.hooks.clients import CLIENTS, Send
from tests.in_app.hooks.test_hosts import ask, said

import spanmeter
from spanmeter import InvalidSetting

ROOT = Path(__file__).parents[3]
REQUESTS = 4
"""To each host: httpx and httpx2, sync and async."""


@pytest.fixture
def span() -> Iterator[SpanContext]:
    """A span that is current, with a trace state."""
    state = TraceState([("vendor", "1")])
    here = SpanContext(0xA, 0xB, is_remote=False, trace_flags=TraceFlags(1), trace_state=state)
    with trace.use_span(NonRecordingSpan(here)):
        yield here


@pytest.mark.parametrize("send", CLIENTS)
def test_the_gateway_continues_the_trace(
    send: Send, here: ReplayProvider, elsewhere: ReplayProvider, span: SpanContext
) -> None:
    spanmeter.instrument(here.base_url)

    told = ask(send, here)

    assert told == {"traceparent": f"00-{0xA:032x}-{0xB:016x}-01", "tracestate": "vendor=1"}
    assert ask(send, elsewhere) == {}


@pytest.mark.parametrize("send", CLIENTS)
def test_a_trace_that_is_there_is_kept_whole(
    send: Send, here: ReplayProvider, span: SpanContext
) -> None:
    spanmeter.instrument(here.base_url)
    own = f"00-{1:032x}-{2:016x}-00"

    assert ask(send, here, traceparent=own) == {"traceparent": own}


@pytest.mark.parametrize("send", CLIENTS)
def test_the_baggage_of_others_stays_here(
    send: Send, here: ReplayProvider, elsewhere: ReplayProvider
) -> None:
    spanmeter.instrument(here.base_url, baggage=True)
    entered = context.attach(baggage.set_baggage("spanmeter.feature", "of the caller"))
    also = context.attach(baggage.set_baggage("user.id", "7"))
    try:
        assert ask(send, here) == {"x-feature": "of the caller"}
        assert ask(send, elsewhere) == {}
    finally:
        context.detach(also)
        context.detach(entered)


def run(order: str, *servers: ReplayProvider) -> list[dict[str, Any]]:
    """Run the application with OpenTelemetry's instrumentation, and return its spans."""
    ran = subprocess.run(
        [
            *(sys.executable, "-W", "error", "-m", "tests.in_app.hooks.otel_application"),
            *(order, *(server.base_url for server in servers)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    spans: list[dict[str, Any]] = json.loads(ran.stdout)
    return spans


@pytest.fixture(scope="module")
def service() -> Iterator[ReplayProvider]:
    from tests.in_app.hooks.conftest import SCRIPTS  # noqa: PLC0415 - not a plugin of this module

    with ReplayProvider(scripts=SCRIPTS) as running:
        yield running


@pytest.mark.parametrize("order", ["ours", "before", "after"])
def test_http_spans_fit_between_the_application_and_the_gateway(
    order: str, here: ReplayProvider, service: ReplayProvider, elsewhere: ReplayProvider
) -> None:
    spans = run(order, here, service, elsewhere)

    gateway, others, provider = (
        [said(server.take("it")) for _ in range(REQUESTS)] for server in (here, service, elsewhere)
    )
    (app,) = (span for span in spans if span["name"] == "app")
    http = [span for span in spans if span["name"] == "POST"]
    assert len(http) == 3 * REQUESTS
    assert {span["parent_id"] for span in http} == {app["context"]["span_id"]}
    # Each request carries the id of its own HTTP span, and what is said of it once.
    sent = {told["traceparent"].split("-")[2] for told in gateway + others + provider}
    assert sent == {span["context"]["span_id"].removeprefix("0x") for span in http}
    assert {(told["x-feature"], told["x-task"]) for told in gateway} == {
        ("of the caller", "answer")
    }
    ours = "spanmeter.feature=of%20the%20caller,spanmeter.task=answer"
    assert {told["baggage"] for told in others} == {f"user.id=CANARY,{ours}"}


def test_http_spans_of_ours_give_neither_baggage_nor_keys_away(
    here: ReplayProvider, service: ReplayProvider, elsewhere: ReplayProvider
) -> None:
    spans = run("ours", here, service, elsewhere)

    for _ in range(REQUESTS):
        assert set(said(here.take("it"))) == {"x-feature", "x-task", "traceparent"}
        assert set(said(elsewhere.take("it"))) == {"traceparent"}
    urls = [span["attributes"]["http.url"] for span in spans if span["name"] == "POST"]
    assert {url.partition("?")[2] for url in urls} == {"alt=sse&key=REDACTED&q=1"}
    assert "CANARY" not in json.dumps(spans)


def test_http_spans_need_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.instrumentation.httpx", None)

    with pytest.raises(InvalidSetting, match=r"spanmeter\[httpx\]"):
        spanmeter.instrument_httpx("gateway", http_spans=True)
