"""Which metrics are printed, and how the gateway's own are named."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from spanmeter.metric import Metric, Semconv, label

__all__ = ["Metric", "Semconv", "label"]

ExemplarFilter = Literal["always_off", "always_on", "trace_based"]
"""Whose calls become exemplars: nobody's, everybody's, or those whose trace is sampled.

Source: OpenTelemetry metrics SDK specification, "ExemplarFilter".
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSettings:
    """What is printed of the metrics, and what cannot be read from a receipt."""

    semconv: Semconv = "latest"
    switches: frozenset[str] = frozenset()
    """Those that are on; `Metric.switch` names them."""
    url_scheme: str = "http"
    """How callers reach the gateway."""
    exemplar_filter: ExemplarFilter = "trace_based"

    def printed(self, metrics: Iterable[Metric]) -> list[Metric]:
        """Select the metrics that are printed; one that is not makes no series."""
        return [
            metric
            for metric in metrics
            if self.semconv in metric.semconv
            and (metric.switch is None or metric.switch in self.switches)
        ]


DEFAULT_SETTINGS = MetricSettings()


def counter(name: str, unit: str, description: str, *attributes: str) -> Metric:
    """Make a counter of our own; its Prometheus name ends in `_total`."""
    return Metric(name, label(name) + "_total", "counter", unit, description, attributes)


def gauge(name: str, unit: str, description: str, *attributes: str) -> Metric:
    """Make a gauge of our own; its Prometheus name ends in its unit."""
    suffix = {"s": "_seconds", "By": "_bytes"}.get(unit, "")
    return Metric(name, label(name) + suffix, "gauge", unit, description, attributes)
