"""What one metric is, and how an OpenTelemetry name becomes a Prometheus one."""

import re
from dataclasses import dataclass
from typing import Literal

Semconv = Literal["latest", "v1_41", "both"]
"""Which generation of the GenAI conventions' metrics is printed."""


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


def label(attribute: str) -> str:
    """Translate an OTLP attribute (or metric) name into a Prometheus one.

    Every run of characters that Prometheus' classic names lack becomes one underscore, as
    prometheus/otlptranslator does by default (labelnamer.go, `UnderscoreEscapingWithSuffixes`).
    """
    return re.sub(r"[^A-Za-z0-9]+", "_", attribute)
