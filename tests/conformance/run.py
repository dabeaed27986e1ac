"""The run: two gateways, every cell's call, and what became of it.

While the collector refuses spans the segments that are entered stay in the spool, so that every
receipt can be counted there; then it takes them.
"""

import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from tests import processes
from tests.conformance.acts import Acts
from tests.conformance.callers import BODY_LIMIT, KEY, KEY_NAME, Seen, call
from tests.conformance.columns import CANARY
from tests.conformance.evidence import (
    CALLS,
    Evidence,
    called,
    deviations,
    found,
    read_lines,
    servers,
)
from tests.conformance.expected import CELLS, Cell
from tests.fakes.otlp_sink import OtlpSink
from tests.fakes.raw_client import RawClient
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess
from tests.processes import wait_until

KILLS = ("books-killed", "relay-killed")
PROVIDERS = ("openai", "anthropic", "gcp.gemini", "azure.ai.openai")
REFUSED = "http://127.0.0.1:1"
CALLERS = 24

LAST = "last"
"""The tag `call` of the call that marks the end."""
UNTAGGED = "untagged."
"""What the metrics call it."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What the run found."""

    deviations: dict[str, list[str]]
    """What is wrong with each cell, by its id."""
    strays: list[str]
    """What was counted that no cell called for, and totals that are not those of the calls."""
    content: list[str]
    """Where a text stands that was in a prompt, a credential or a provider's error."""


def run() -> Findings:
    """Make every call, and look what became of it."""
    with ThreadPoolExecutor() as both:
        parts = [part.result() for part in (both.submit(_ordinary), both.submit(_kills))]
    return Findings(
        {cell: wrong for part in parts for cell, wrong in part.deviations.items()},
        [stray for part in parts for stray in part.strays],
        [place for part in parts for place in part.content],
    )


def _ordinary() -> Findings:
    cells = [cell for cell in CELLS if cell.row not in KILLS]
    with _world() as (gateway, sink, provider, _), ThreadPoolExecutor(CALLERS) as callers:
        seen = list(callers.map(lambda cell: call(gateway.url, cell, provider), cells))
        evidence = _gather(gateway, sink, calls=len(cells))
    return _judge(cells, seen, evidence)


def _kills() -> Findings:
    of_books, of_relay = ([cell for cell in CELLS if cell.row == row] for row in KILLS)
    with _world() as (gateway, sink, provider, acts), ThreadPoolExecutor(CALLERS) as callers:

        def begin(cells: list[Cell]) -> list[Future[Seen]]:
            calls = [callers.submit(call, gateway.url, cell, provider) for cell in cells]
            for cell in cells:
                provider.take(cell.id)
            return calls

        calls = begin(of_books)
        processes.kill(processes.books(gateway))
        acts.gate.open()
        seen = [each.result() for each in calls]
        wait_until(lambda: processes.is_answering(f"{gateway.books_url}/healthz"))
        acts.gate.close()
        # Books that stand still delete nothing: what the relay has written so far can be counted.
        with processes.frozen(processes.books(gateway)):
            calls = begin(of_relay)
            wait_until(lambda: len(read_lines(gateway.data_dir, "open")) >= len(of_relay))
            processes.kill(processes.relays(gateway)[0])
        seen += [each.result() for each in calls]
        wait_until(lambda: processes.is_answering(f"{gateway.url}/readyz"))
        evidence = _gather(gateway, sink, calls=len(of_books) + len(of_relay))
    return _judge([*of_books, *of_relay], seen, evidence)


def _gather(gateway: GatewayProcess, sink: OtlpSink, *, calls: int) -> Evidence:
    """Wait until all is written, entered and sent; one more call marks the end of the spool.

    What does not come in time is missing in the evidence, and the cells tell whose it is.
    """
    with RawClient(gateway.url) as client:
        client.call("/v1/responses", headers=[("x-tags", f"call:{LAST}"), ("x-gateway-key", KEY)])
    with suppress(TimeoutError):
        wait_until(lambda: LAST in map(called, read_lines(gateway.data_dir, "receipt")))
    with suppress(TimeoutError):
        gateway.wait_metrics(lambda now: now.total("spanmeter_request_active") == 0)
    with suppress(TimeoutError):
        gateway.wait_metrics(lambda now: now.total(CALLS) > calls)
    metrics = gateway.metrics()
    receipts = read_lines(gateway.data_dir, "receipt")
    sink.status = 200
    with suppress(TimeoutError):
        sink.wait(lambda came: len(servers(came)) > calls, timeout_s=40)
    return Evidence(receipts, metrics, list(sink.spans), gateway.errors)


def _judge(cells: list[Cell], seen: list[Seen], evidence: Evidence) -> Findings:
    left, calls = found(evidence), len(cells) + 1
    totals = {
        "spanmeter_receipts_entered_total": calls,
        "spanmeter_receipts_dropped_total": 0,
        CALLS: calls,
        "spanmeter_passthrough_total": 0,
    }
    counted = {name: evidence.metrics.total(name) for name in totals}
    printed = {
        "receipts": repr(evidence.receipts),
        "metrics": evidence.metrics.text,
        "spans": repr(evidence.spans),
        "log": evidence.log,
    }
    return Findings(
        {
            cell.id: deviations(cell, saw, left[cell.id])
            for cell, saw in zip(cells, seen, strict=True)
        },
        [
            f"{name}: {counted[name]} instead of {totals[name]}"
            for name in totals
            if counted[name] != totals[name]
        ]
        + sorted(left.keys() - {cell.id for cell in cells} - {LAST, UNTAGGED}),
        [place for place, text in printed.items() if CANARY in text],
    )


@contextmanager
def _world() -> Iterator[tuple[GatewayProcess, OtlpSink, ReplayProvider, Acts]]:
    acts = Acts()
    with (
        ReplayProvider(scripts={"act": acts.act}) as provider,
        OtlpSink() as sink,
        _unroutable() as unroutable,
        GatewayProcess(
            upstreams=dict(_upstreams(provider.base_url, unroutable)),
            settings={
                "gateway_keys": {KEY_NAME: {"env": "MATRIX_KEY"}},
                "limits": {"body_bytes": BODY_LIMIT},
            },
            environ={**sink.environ, "MATRIX_KEY": KEY, "HELD_KEY": CANARY},
        ) as gateway,
    ):
        sink.status = 503
        yield gateway, sink, provider, acts


def _upstreams(here: str, unroutable: str) -> Iterator[tuple[str, dict[str, Any]]]:
    places: dict[str, dict[str, Any]] = {
        "plain": {"base_url": here},
        "held": {"base_url": here, "credential": {"env": "HELD_KEY"}},
        "refused": {"base_url": REFUSED},
        "unroutable": {"base_url": unroutable, "timeouts": {"connect_s": 0.3}},
        "impatient": {"base_url": here, "timeouts": {"first_byte_s": 0.5}},
    }
    for provider in PROVIDERS:
        for place, settings in places.items():
            yield f"{provider.replace('.', '-')}-{place}", {"provider": provider} | settings


@contextmanager
def _unroutable() -> Iterator[str]:
    """Listen with a full backlog: the kernel answers no further caller."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for each in waiting:
                each.close()
