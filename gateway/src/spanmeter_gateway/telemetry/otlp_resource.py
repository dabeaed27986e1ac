"""Who reports: the resource that the spans and the metrics of one gateway share."""

import uuid
from importlib.metadata import version
from pathlib import Path

from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.otlp import Value


def resource_attributes(instance_id: str = "") -> dict[str, Value]:
    """Describe this process; `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` come first."""
    ours = Resource(
        {
            names.SERVICE_NAME: names.SERVICE,
            names.SERVICE_VERSION: version(names.SERVICE),
            names.SERVICE_INSTANCE: instance_id or str(uuid.uuid4()),
        }
    )
    merged = ours.merge(OTELResourceDetector().detect())
    return {key: str(value) for key, value in merged.attributes.items()}


def kept_instance_id(path: Path) -> str:
    """Return the id that a file keeps, made at first; raises `OSError`.

    The counters survive a restart, so the instance does: with a new id, whoever adds up instances
    would count everything from before the restart once more. The convention prefers an id that
    lasts (semantic-conventions, docs/resource/service.md).
    """
    try:
        kept = path.read_text(encoding="ascii", errors="replace").strip()
        return str(uuid.UUID(kept))
    except (FileNotFoundError, ValueError):
        made = str(uuid.uuid4())
        path.write_text(made + "\n", encoding="ascii")
        return made
