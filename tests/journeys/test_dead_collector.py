"""No collector where the spans should go: calls and metrics do not notice, and a stop is quick."""

from tests import processes
from tests.accounts import NONE_DIFFERS, differences
from tests.fakes.raw_client import RawClient
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess
from tests.traffic import PLAIN, PRICES, call

NOWHERE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
QUEUE_BYTES = 32 << 20
"""What the books hold of spans that cannot be sent."""
FEATURE = "dead-" + "x" * 60_000
"""Stands in both spans of a call, so that a few calls fill the queue; a label has 100 of it."""
CALLS = 4 * QUEUE_BYTES // (2 * len(FEATURE))
STOP_S = 10


def test_spans_that_cannot_be_sent_cost_bounded_memory_and_nothing_else(
    provider: ReplayProvider,
) -> None:
    with GatewayProcess(
        upstreams={"openai": {"base_url": provider.base_url}},
        settings={"prices": PRICES},
        environ=NOWHERE,
    ) as gateway:
        books = processes.books(gateway)
        before_bytes = processes.memory_bytes(books)
        with RawClient(gateway.url) as client:
            seen = [call(client, PLAIN, FEATURE, "same") for _ in range(CALLS)]
        metrics = gateway.wait_metrics(
            lambda now: (
                now.total("spanmeter_calls_total") >= CALLS
                and now.total("spanmeter_spans_total", result="dropped") > 0
            )
        )
        growth_bytes = processes.memory_bytes(books) - before_bytes
        gateway.stop(timeout_s=STOP_S)

    assert seen == [200] * CALLS
    assert metrics.by("spanmeter_calls_total", "spanmeter_outcome") == {"ok": CALLS}
    assert metrics.by("spanmeter_tokens_total", "spanmeter_token_class") == {
        name: tokens * CALLS for name, tokens in PLAIN.tokens.items()
    }
    assert round(metrics.total("spanmeter_cost_usd_total") * 10**9) == PLAIN.cost_nanos * CALLS
    assert growth_bytes < 3 * QUEUE_BYTES
    assert differences(metrics) == NONE_DIFFERS | {
        "receipts_spans": metrics.total("spanmeter_spans_total", result="dropped")
    }
