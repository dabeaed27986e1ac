"""What one metric is, and how an OpenTelemetry name becomes a Prometheus one."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Semconv = Literal["latest", "v1_41", "both"]
"""Which generation of the GenAI conventions' metrics is printed."""

ExemplarFilter = Literal["always_off", "always_on", "trace_based"]
"""Whose calls become exemplars: nobody's, everybody's, or those whose trace is sampled.

Source: OpenTelemetry metrics SDK specification, "ExemplarFilter".
"""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, as OTLP and Prometheus name it.

    `attributes` are OTLP names in the order of a series' label values; a `tagged` metric has the
    allow-listed tag keys after them. Amounts are integers, `per_unit` of them make one `unit`:
    nanoseconds for seconds, nano-dollars for USD. An `updowncounter` is a gauge in Prometheus.
    """

    name: str
    prometheus_name: str
    kind: Literal["counter", "gauge", "histogram", "updowncounter"]
    unit: str
    description: str
    attributes: tuple[str, ...] = ()
    tagged: bool = False
    per_unit: int = 1
    buckets: tuple[float, ...] = ()
    has_exemplars: bool = False
    """Each series remembers the last sampled trace (a histogram: of each bucket)."""
    semconv: tuple[Semconv, ...] = ("latest", "v1_41", "both")
    """The settings under which it is printed."""
    switch: str | None = None
    """The key of the configuration that turns it on; without one it is always on."""
    source: str = "own"
    """The page of the conventions that defines it."""


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


def label(attribute: str) -> str:
    """Translate an OTLP attribute (or metric) name into a Prometheus one.

    Every run of characters that Prometheus' classic names lack becomes one underscore, as
    prometheus/otlptranslator does by default (labelnamer.go, `UnderscoreEscapingWithSuffixes`).
    """
    return re.sub(r"[^A-Za-z0-9]+", "_", attribute)


def counter(name: str, unit: str, description: str, *attributes: str) -> Metric:
    """Make a counter of our own; its Prometheus name ends in `_total`."""
    return Metric(name, label(name) + "_total", "counter", unit, description, attributes)


def gauge(name: str, unit: str, description: str, *attributes: str) -> Metric:
    """Make a gauge of our own; its Prometheus name ends in its unit."""
    suffix = {"s": "_seconds", "By": "_bytes"}.get(unit, "")
    return Metric(name, label(name) + suffix, "gauge", unit, description, attributes)
