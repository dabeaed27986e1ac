"""Which series and labels a dashboard may read: those of metrics and rules, and a few more."""

from tests.dashboards import recorded

from grafana import sources
from grafana.queries import labels_of as labels_of_metric
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.names import Metric

SCRAPED = frozenset({"job", "instance"})
"""What Prometheus adds to everything that it scrapes."""
_OF_PROMETHEUS = {"up": SCRAPED}
# Source: the page of the real Collector of deploy/collector, port 8888.
OF_COLLECTOR = {
    "otelcol_exporter_queue_": frozenset({"exporter", "data_type"}),
    "otelcol_exporter_": frozenset({"exporter"}),
    "otelcol_receiver_": frozenset({"receiver", "transport"}),
    "otelcol_processor_": frozenset({"processor"}),
    "otelcol_process_": frozenset[str](),
}
"""By the beginning of the name, the longest first."""
RECORDED_COUNTERS = frozenset(
    name for source in sources.ALL for name in (source.recorded, source.seldom)
)
_PARTS = {"_bucket": frozenset({"le"}), "_sum": frozenset[str](), "_count": frozenset[str]()}


class UnknownSeries(LookupError):
    """Nothing prints or records such a series."""


def metric_of(name: str) -> Metric | None:
    """Find the metric that a series is of, by its name or that of a histogram's part."""
    metric = names.METRIC_BY_NAME.get(name)
    for part in _PARTS:
        found = names.METRIC_BY_NAME.get(name.removesuffix(part))
        if found is not None and found.kind == "histogram" and name.endswith(part):
            return found
    return metric if metric is not None and metric.kind != "histogram" else None


def labels_of(name: str) -> frozenset[str]:
    """List the labels of a series; raises `UnknownSeries`."""
    metric = metric_of(name)
    if metric is not None:
        part = name.removeprefix(metric.prometheus_name)
        return labels_of_metric(metric) | _PARTS.get(part, frozenset()) | SCRAPED
    if name in {*recorded.names(), recorded.ALERTS, recorded.SINCE}:
        return frozenset(recorded.labels_of(name))
    for prefix, labels in OF_COLLECTOR.items():
        if name.startswith(prefix):
            return labels | SCRAPED
    if name not in _OF_PROMETHEUS:
        raise UnknownSeries(name)
    return _OF_PROMETHEUS[name]


def is_counter(name: str) -> bool:
    """Say whether only growth of it means something."""
    metric = metric_of(name)
    if name in RECORDED_COUNTERS:
        return True
    if metric is None:
        return name.startswith("otelcol_") and name.endswith(("_spans", "_points", "_total"))
    return metric.kind in {"counter", "histogram"}
