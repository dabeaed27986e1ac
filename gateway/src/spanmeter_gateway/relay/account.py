"""The growing account of one call, from its first byte to its receipt."""

import time

from spanmeter.dialects.dialect import Dialect, RequestFacts, ResponseFacts
from spanmeter.grammar import Attribution
from spanmeter.outcome import Verdict
from spanmeter.semconv import MAX_MODEL_CHARS
from spanmeter_gateway.receipt import Attempt, OpenCall, Receipt, Trace
from spanmeter_gateway.relay.chunk_times import ChunkTimes
from spanmeter_gateway.relay.trace import Ids
from spanmeter_gateway.upstreams.upstream import Upstream

UNTAGGED = Attribution()
NO_FACTS = ResponseFacts()


class OpenAttempt:
    """One try at one upstream, under way."""

    __slots__ = (
        "chunk_times",
        "ended_ns",
        "error_type",
        "first_chunk_ns",
        "host",
        "model",
        "port",
        "provider",
        "retries",
        "span_id",
        "started_at_ns",
        "started_ns",
        "status",
        "upstream",
    )

    def __init__(
        self, span_id: str, *, upstream: Upstream, host: str, port: int, model: str | None
    ) -> None:
        self.span_id = span_id
        self.upstream = upstream.name
        self.provider = upstream.provider
        self.model = model
        self.host = host
        self.port = port
        self.started_at_ns = time.time_ns()
        self.started_ns = time.monotonic_ns()
        self.ended_ns: int | None = None
        self.status: int | None = None
        self.error_type: str | None = None
        self.first_chunk_ns: int | None = None
        self.retries = 0
        self.chunk_times: ChunkTimes | None = None

    def close(self, now_ns: int) -> Attempt:
        """Freeze the attempt as it stands."""
        return Attempt(
            span_id=self.span_id,
            upstream=self.upstream,
            provider=self.provider,
            model=self.model,
            server_address=self.host,
            server_port=self.port,
            started_at_ns=self.started_at_ns,
            duration_ns=(self.ended_ns or now_ns) - self.started_ns,
            status=self.status,
            error_type=self.error_type,
            first_chunk_ns=self.first_chunk_ns,
            retries=self.retries,
            chunk_times=self.chunk_times.numbers() if self.chunk_times is not None else (),
        )


class Account:
    """Everything known of a call so far. Plain slots: it is written many times for each call."""

    __slots__ = (
        "attempt",
        "attribution",
        "dialect",
        "facts",
        "first_byte_ns",
        "http_status",
        "http_version",
        "ids",
        "is_guess",
        "key_id",
        "method",
        "provider",
        "relay_ns",
        "request_bytes",
        "response_bytes",
        "route",
        "started_at_ns",
        "started_ns",
        "trace",
        "upstream",
    )

    def __init__(self, ids: Ids, *, method: str, http_version: str, trace: Trace) -> None:
        self.ids = ids
        self.started_at_ns = time.time_ns()
        self.started_ns = time.monotonic_ns()
        self.method = method
        self.http_version = http_version
        self.trace = trace
        self.route = ""
        self.dialect: Dialect | None = None
        self.facts: RequestFacts | None = None
        self.attribution = UNTAGGED
        self.upstream: str | None = None
        self.provider: str | None = None
        self.is_guess = False
        self.key_id: str | None = None
        self.attempt: OpenAttempt | None = None
        self.http_status: int | None = None
        self.request_bytes = 0
        self.response_bytes = 0
        self.first_byte_ns: int | None = None
        self.relay_ns: int | None = None

    def receipt(
        self,
        verdict: Verdict,
        *,
        facts: ResponseFacts = NO_FACTS,
        unmetered: str | None = None,
        listen: tuple[str, int] = ("", 0),
    ) -> Receipt:
        """Write the receipt of the call as it stands now."""
        now_ns = time.monotonic_ns()
        dialect, request, attribution = self.dialect, self.facts, self.attribution
        return Receipt(
            call_id=self.ids.call_id, kind="call" if dialect is not None else "passthrough",
            started_at_ns=self.started_at_ns, duration_ns=now_ns - self.started_ns,
            first_byte_ns=self.first_byte_ns, relay_ns=self.relay_ns,
            outcome=verdict.outcome, error_type=verdict.error_type, error_source=verdict.source,
            feature=attribution.feature, task=attribution.task, tags=attribution.tags,
            violations=attribution.drops,
            method=self.method, route=self.route, http_status=self.http_status,
            http_version=self.http_version, listen_address=listen[0], listen_port=listen[1],
            request_bytes=self.request_bytes, response_bytes=self.response_bytes,
            dialect=dialect.name if dialect is not None else None,
            operation=dialect.operation if dialect is not None else None,
            api_type=dialect.api_type if dialect is not None else None,
            provider=self.provider, upstream=self.upstream, provider_unknown=self.is_guess,
            request_model=self.request_model, response_model=facts.response_model,
            stream=request is not None and request.stream,
            parameters=request.parameters if request is not None else {},
            response_id=facts.response_id, finish_reasons=facts.finish_reasons,
            response_status=facts.response_status, incomplete_reason=facts.incomplete_reason,
            service_tier=facts.service_tier, system_fingerprint=facts.system_fingerprint,
            usage=facts.usage, unmetered=unmetered,
            reported_cost_usd=facts.reported_cost_usd, upstream_cost_usd=facts.upstream_cost_usd,
            key_id=self.key_id, trace=self.trace,
            attempts=(self.attempt.close(now_ns),) if self.attempt is not None else (),
        )  # fmt: skip

    @property
    def request_model(self) -> str | None:
        """The model that the caller asked, cut to a length that no real name has."""
        model = self.facts.model if self.facts is not None else None
        return model[:MAX_MODEL_CHARS] if model is not None else None

    def as_open(self, listen: tuple[str, int]) -> OpenCall:
        """Write what books enter should this relay die before the call ends."""
        lost = Verdict("gateway_error", "relay_lost", "gateway")
        return OpenCall(receipt=self.receipt(lost, listen=listen))
