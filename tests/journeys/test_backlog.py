"""Two hours of receipts are entered at once: no rate that the documentation shows is distorted."""

import re
import time
import urllib.parse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests import processes
from tests.accounts import NONE_DIFFERS, differences
from tests.fakes.otlp_sink import OtlpSink, SinkSpan
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway.spool.receipts import receipt_line
from tests.gateway.spool.segments import lay
from tests.gateway_process import GatewayProcess
from tests.prometheus_process import PrometheusProcess
from tests.traffic import PLAIN, PRICES, Traffic

ROOT = Path(__file__).parents[2]
RATE = "sum by (spanmeter_feature) (rate(spanmeter_calls_total[4s]))"
BACKLOG_S = 2 * 3600
A_SEGMENT = 60
FEATURE = "backlog"
LIVE_LIMIT = 200.0
"""Calls a second that one client with pauses of 0.02 s cannot reach."""


def documented_rate() -> str:
    """Give the expression of the documentation, with a window that a test can wait for."""
    page = (ROOT / "docs" / "operations.md").read_text()
    [expression] = re.findall(r"```promql\n(.*?)```", page, re.DOTALL)
    return " ".join(expression.replace("[5m]", "[4s]").split())


def lay_backlog(spool: Path, aside: Path, *, now_ns: int) -> list[int]:
    """Lay down a call for each second of the last two hours; give when each began."""
    started_ns = [now_ns - seconds * 10**9 for seconds in range(BACKLOG_S, 0, -1)]
    paths = [
        lay(
            aside,
            [
                receipt_line(f"{number:08x}", started_at_ns=started_ns[number], feature=FEATURE)
                for number in range(first, first + A_SEGMENT)
            ],
            sequence=first // A_SEGMENT + 1,
            written_at_ns=started_ns[first + A_SEGMENT - 1],
            written=first + A_SEGMENT,
        )
        for first in range(0, BACKLOG_S, A_SEGMENT)
    ]
    for path in paths:
        path.rename(spool / path.name)
    return started_ns


def peaks(prometheus: PrometheusProcess, expression: str, *, from_s: float) -> dict[str, float]:
    """Give the highest value of each feature since then."""
    asked = {"query": expression, "start": from_s, "end": time.time(), "step": 0.25}
    found = prometheus.get(f"/api/v1/query_range?{urllib.parse.urlencode(asked)}")["result"]
    return {
        row["metric"]["spanmeter_feature"]: max(float(value) for _, value in row["values"])
        for row in found
    }


def of_backlog(spans: Sequence[SinkSpan]) -> dict[str, int]:
    return {
        span.span_id: span.start_ns
        for span in spans
        if span.attributes["spanmeter.feature"] == FEATURE
    }


def test_a_backlog_of_two_hours_entered_at_once_distorts_no_rate_and_no_time(
    provider: ReplayProvider, sink: OtlpSink, tmp_path: Path
) -> None:
    with (
        GatewayProcess(
            upstreams={"openai": {"base_url": provider.base_url}},
            settings={"prices": PRICES},
            environ=sink.environ,
        ) as gateway,
        PrometheusProcess({"books": gateway.books_url.removeprefix("http://")}) as prometheus,
    ):
        from_s = time.time()
        with Traffic(gateway.url, "live", kinds=[PLAIN], clients=1, pause_s=0.02) as traffic:
            prometheus.wait(documented_rate(), lambda now: len(now) == 3)  # features of the traffic
            spool = gateway.data_dir / "spool"
            started_ns = lay_backlog(spool, tmp_path, now_ns=time.time_ns())
            seen = gateway.wait_metrics(
                lambda now: now.total("spanmeter_calls_total", spanmeter_feature=FEATURE) > 0
            )
            prometheus.wait(
                f'sum(spanmeter_calls_total{{spanmeter_feature="{FEATURE}"}})',
                lambda now: now and now[0].value == BACKLOG_S,
            )
            prometheus.wait(f"{RATE} > 0", bool)
            prometheus.wait_scrapes(4, job="books")
        sink.wait(lambda spans: len(of_backlog(spans)) == BACKLOG_S, timeout_s=60)
        plain, held = (
            peaks(prometheus, expression, from_s=from_s) for expression in (RATE, documented_rate())
        )
        processes.wait_until(lambda: not list(spool.glob("0aa1-*.ndjson")))
        after = gateway.wait_metrics(
            lambda now: now.total("spanmeter_calls_total") == BACKLOG_S + len(traffic.made)
        )

    assert plain[FEATURE] > LIVE_LIMIT
    assert held.keys() == {f"live-{number}" for number in range(3)}
    assert max(held.values()) < LIVE_LIMIT
    assert seen.total("spanmeter_books_lag_seconds") > BACKLOG_S - A_SEGMENT
    assert BACKLOG_S - A_SEGMENT <= after.total("spanmeter_receipts_late_total") < BACKLOG_S
    assert Counter(of_backlog(sink.spans).values()) == Counter(started_ns)
    assert differences(after) == NONE_DIFFERS
