"""What OpenTelemetry's auto-instrumentation calls: `opentelemetry-instrument python app.py`.

Found by the group `opentelemetry_instrumentor`; OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=spanmeter
leaves it out. Only loaded by opentelemetry-instrumentation, so that this needs no extra.
"""

from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined] # unchecked
    BaseInstrumentor,
)

from spanmeter import from_environment
from spanmeter.instrumenting import uninstrument


class SpanmeterInstrumentor(BaseInstrumentor):  # type: ignore[misc] # as above
    """Does what the environment variables of `spanmeter.settings` say."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """Ask for nothing: what is hooked is whatever the application imports."""
        return ()

    def _instrument(self, **_: Any) -> None:
        from_environment.start()

    def _uninstrument(self, **_: Any) -> None:
        uninstrument()
