"""What a query names, as Prometheus' own parser reads it, and whether there is such a thing."""

import re
import urllib.parse
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from tests.prometheus_process import PrometheusProcess

from spanmeter_gateway.alerting import pipeline, series
from spanmeter_gateway.alerting.features import WINDOW_S
from spanmeter_gateway.alerting.promql import TEAM
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.names import label

# Prometheus' own: docs "Jobs and instances", "Alerting rules". Those of the Collector are held
# against a real one in tests/collector.
FOREIGN = {"up", "ALERTS", *pipeline.COLLECTOR}
FOREIGN_LABELS = {"alertname", "alertstate", "exporter", "instance", "job", "le", "severity"}
OWN_LABELS = {TEAM, "anomaly", "level", "model", "month", "name", "outcome", "scope"}
"""Of recorded series, beside those of metrics."""
_SUMS = {value for name, value in vars(series).items() if re.match("SUMS?_", name)}
RECORDED = {
    *(value for name, value in vars(series).items() if name.isupper()),
    *(series.fault_ratio(window) for window in ("5m", *WINDOW_S)),
    *map(series.seldom, _SUMS),
}
METRIC_LABELS = {label(each) for metric in names.METRICS for each in metric.attributes}


class Named(NamedTuple):
    """What an expression names."""

    metric: str
    labels: frozenset[str]


@cache
def parsed(parser: PrometheusProcess, query: str) -> Any:
    """Parse a query; the parser is a Prometheus 3, no matter what it scrapes."""
    return parser.get("/api/v1/parse_query?" + urllib.parse.urlencode({"query": query}))


def selected(parser: PrometheusProcess, query: str) -> Iterator[Named]:
    """Name every selector of a query."""
    for node in _nodes(parsed(parser, query)):
        if node.get("type") in {"vectorSelector", "matrixSelector"}:
            labels = {matcher["name"] for matcher in node["matchers"]} - {"__name__"}
            for metric in _metrics(node):
                yield Named(metric, frozenset(labels))


def grouped(tree: Any) -> Iterator[str]:
    """List the labels that a parsed query groups or joins by."""
    for node in _nodes(tree):
        yield from node.get("grouping") or ()
        matching = node.get("matching") or {}
        yield from matching.get("labels") or ()
        yield from matching.get("include") or ()


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    for child in children:
        yield from _nodes(child)


def is_known(metric: str) -> bool:
    """Say whether a metric or a recorded series of this name exists."""
    return metric in RECORDED or _metric(metric) is not None or metric in FOREIGN


def _metric(name: str) -> names.Metric | None:
    if name in names.METRIC_BY_NAME:
        found = names.METRIC_BY_NAME[name]
        return None if found.kind == "histogram" else found
    found_by_part = names.METRIC_BY_NAME.get(re.sub("_(bucket|count|sum)$", "", name))
    return found_by_part if found_by_part and found_by_part.kind == "histogram" else None


def labels(metric: str) -> set[str]:
    """List the labels that a metric may have."""
    found = _metric(metric)
    if found is None:
        return METRIC_LABELS | OWN_LABELS | FOREIGN_LABELS
    bound = {"le"} if metric.endswith("_bucket") else set()
    return {label(each) for each in found.attributes} | bound | {"job", "instance"}


def _metrics(selector: dict[str, Any]) -> list[str]:
    if selector["name"]:
        return [selector["name"]]
    either = [each["value"] for each in selector["matchers"] if each["name"] == "__name__"]
    return [name for value in either for name in value.split("|")]
