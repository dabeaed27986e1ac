"""Reading of a registry in tests: what each series has counted."""

import json

from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.registry import Registry

Counted = list[tuple[dict[str, str], list[int]]]


def counted(registry: Registry, metric: names.Metric) -> Counted:
    """Return labels and numbers of every series of a metric that was not saved yet."""
    return [
        (labels_of(row.labels), json.loads(row.values))
        for row in registry.changed()
        if row.metric == metric.prometheus_name
    ]


def labels_of(text: str) -> dict[str, str]:
    """Return the labels of a saved row by attribute."""
    texts = json.loads(text)
    return dict(zip(texts[::2], texts[1::2], strict=True))
