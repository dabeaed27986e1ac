"""The meter that `instrument(direct=True)` gives to the hooks of HTTP libraries."""

from collections.abc import Mapping

from opentelemetry.metrics import MeterProvider, get_meter
from opentelemetry.trace import TracerProvider, get_tracer

from spanmeter.direct.asked import read_request
from spanmeter.direct.call import DirectCall, Telemetry
from spanmeter.direct.instruments import Instruments
from spanmeter.metric import Semconv
from spanmeter.providers import provider_at
from spanmeter.semconv import SCHEMA_URL, SCOPE


class DirectMeter:
    """A `spanmeter.observing.Meter`.

    `providers` names the provider at each `host:port` that the table of providers does not know: a
    model server of one's own. `semconv` is the generation of the GenAI conventions that is printed,
    of metrics and of the few attributes that differ; by default both, because applications' own
    dashboards mostly know the older. `times_chunks` counts the time before each chunk of a stream,
    which costs 50 us a chunk, at the stream's end. Without providers of telemetry, OpenTelemetry's
    global ones are used, also if they are set later.
    """

    def __init__(
        self,
        providers: Mapping[str, str] | None = None,
        *,
        semconv: Semconv = "both",
        times_chunks: bool = False,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._providers = dict(providers or {})
        tracer = get_tracer(SCOPE, tracer_provider=tracer_provider, schema_url=SCHEMA_URL)
        meter = get_meter(SCOPE, meter_provider=meter_provider, schema_url=SCHEMA_URL)
        self._telemetry = Telemetry(tracer, Instruments(meter, semconv), semconv, times_chunks)

    def begin(
        self, *, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> DirectCall | None:
        """Begin a call; `None` when it asks no model, or nobody known. Raises `ValueError`.

        A URL that is none is not told: the library will say so.
        """
        asked = read_request(method, url, headers=headers, body=body, find=self._find)
        return None if asked is None else DirectCall(asked, self._telemetry)

    def _find(self, host: str, port: int) -> str | None:
        return self._providers.get(f"{host}:{port}") or provider_at(host, port)
