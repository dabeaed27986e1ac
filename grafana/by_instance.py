"""What the gateway says of itself, by instance: the variable, and the pieces that filter by it."""

from typing import Any

from grafana.frame import queried
from grafana.panels import Look, Panel, Query, lines
from grafana.queries import PERIOD, or_zero, per_second, select, total
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.names import Metric

INSTANCE = "instance"
LEGEND = f"{{{{{INSTANCE}}}}}"
ON_TARGET = f"on (job, {INSTANCE})"
_CHOSEN = f'{INSTANCE}=~"$instance"'
VARIABLE = queried(
    "instance", "Instance", f"label_values({names.BUILD_INFO.prometheus_name}, {INSTANCE})"
)


def chosen(metric: Metric, *matchers: str) -> str:
    """Select a metric of the chosen instances."""
    return select(metric, _CHOSEN, *matchers, by=frozenset())


def seen() -> str:
    """Select the gateways that were there in the time range: also those that are not now."""
    return f"last_over_time({chosen(names.BUILD_INFO)}[{PERIOD}])"


def up() -> str:
    """Say of each gateway whether the last scrape went well."""
    return f"min by ({INSTANCE}) (up{{{_CHOSEN}}} and {ON_TARGET} {seen()})"


def grown(metric: Metric, *matchers: str) -> str:
    """Count events over the time range; a gateway that has none has 0, no gateway nothing."""
    return or_zero(total(chosen(metric, *matchers)), f"sum({seen()})")


def each(metric: Metric) -> str:
    """Read a gauge of each gateway."""
    return f"max by ({INSTANCE}) ({chosen(metric)})"


def filled(size: str, capacity: str, *by: str) -> str:
    """Divide a gauge by its limit; of several the fullest one."""
    return f"max by ({', '.join(by)}) ({size}\n  / ({capacity} > 0))"


def paced(key: str, title: str, *, by: tuple[Metric, str], no_value: str, **rest: Any) -> Panel:
    """Draw a counter's growth in events a minute, by a label; `rest` is `panels.lines`'."""
    metric, name = by
    query = Query(f"60 * {per_second(chosen(metric), name)}", f"{{{{{name}}}}}")
    return lines(key, title, look=Look(decimals=1, no_value=no_value), queries=(query,), **rest)
