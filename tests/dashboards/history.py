"""Two weeks of a made-up company as blocks of a real Prometheus: eight samples a day.

The wave of a day is in it, so that weeks and hours differ.
"""

import math
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.components import require
from tests.dashboards import contract, recorded
from tests.dashboards.fleet import Pair, Series, series_of
from tests.dashboards.grafana_queries import Window

from spanmeter_gateway.alerting.promql import text
from spanmeter_gateway.telemetry import names

STEP_S = 3 * 3600
"""Writing blocks takes 10 us a sample: this is the coarsest that still shows a day."""
DAYS = 15
UNTIL_S = 1_795_132_800
"""2026-11-20, midnight UTC: the same history always."""


_COLLECTOR = {"job": "otelcol", "instance": "collector-1:8888"}
_OF_THE_GATEWAY = {"alertname": "SpanmeterBooksBehind", "alertstate": "firing", "severity": "page"}


def window(range_s: int = 86400) -> Window:
    """Look at the end of the history, with a data source that was scraped so often."""
    return Window(until_s=UNTIL_S, range_s=range_s, scrape_s=STEP_S)


def shipped_series(fleet: list[Pair], read: str) -> Iterator[Series]:
    """List what a gateway prints by default and what rules record, where `read` names it."""
    for metric in names.METRICS:
        is_default = "latest" in metric.semconv and metric.switch is None
        if is_default and metric.prometheus_name in read:
            yield from series_of(metric, fleet)
    yield from recorded.all_series(fleet, read)
    for name in sorted(set(re.findall(r"\botelcol_\w+", read))):
        labels = dict.fromkeys(contract.labels_of(name) - contract.SCRAPED, "traces")
        is_counter = contract.is_counter(name)
        yield Series(name, labels | _COLLECTOR, 40.0, None if is_counter else 1.0)
    yield Series("ALERTS", _OF_THE_GATEWAY, level=1.0)
    yield Series("up", {}, level=1.0)
    yield Series("up", _COLLECTOR, level=1.0)


def write(folder: Path, every: Iterable[Series]) -> None:
    """Write the history into a data folder of Prometheus."""
    times = range(UNTIL_S - DAYS * 86400, UNTIL_S + 1, STEP_S)
    hours = [_hours(at - times[0]) for at in times]
    page = folder / "history.txt"
    with page.open("w", encoding="utf-8") as out:
        for each in every:
            out.write(_lines(each, times, hours))
        out.write("# EOF\n")
    subprocess.run(
        [
            *(require("promtool"), "tsdb", "create-blocks-from", "openmetrics", "--quiet"),
            *("--max-block-duration=500h", str(page), str(folder / "tsdb")),
        ],
        check=True,
        capture_output=True,
    )
    page.unlink()


def _hours(passed_s: int) -> float:
    """Count hours of traffic: days are busy, nights are not."""
    passed_h = passed_s / 3600
    return passed_h + 3 * (1 - math.cos(passed_h * math.tau / 24))


def _lines(each: Series, times: range, hours: list[float]) -> str:
    own = {"job": "spanmeter", "instance": "books-1:9464"} | each.labels
    inside = ",".join(f"{name}={text(value)}" for name, value in own.items())
    head = f"{each.name}{{{inside}}} "
    if each.level is not None:
        return "".join(f"{head}{each.level:g} {at}\n" for at in times)
    return "".join(
        f"{head}{each.per_hour * hour:.6f} {at}\n" for at, hour in zip(times, hours, strict=True)
    )
