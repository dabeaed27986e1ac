"""One call, ended: all that its span and its metrics are printed from, by a receipt's words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from spanmeter.dialects.dialect import ResponseFacts
from spanmeter.direct.asked import Asked
from spanmeter.outcome import Outcome, Verdict
from spanmeter.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A call and its one attempt: `Call` and `Attempt` of `spanmeter.span_attributes` in one."""

    feature: str
    task: str | None
    tags: tuple[tuple[str, str], ...]
    outcome: Outcome
    error_type: str | None
    operation: str
    api_type: str | None
    provider: str
    model: str | None
    request_model: str | None
    server_address: str
    server_port: int
    stream: bool
    parameters: Mapping[str, Any]
    status: int | None
    """The provider's HTTP status; `None` when no answer came."""
    response_model: str | None
    response_id: str | None
    finish_reasons: tuple[str, ...] | None
    response_status: str | None
    service_tier: str | None
    system_fingerprint: str | None
    usage: Usage | None
    duration_ns: int
    first_chunk_ns: int | None
    """From issuing the request to the first byte of the body; streamed inferences only."""
    chunk_seconds: Iterable[float]
    """Between two chunks each, where that is asked for."""


def end(
    asked: Asked,
    facts: ResponseFacts,
    verdict: Verdict,
    *,
    status: int | None,
    duration_ns: int,
    first_chunk_ns: int | None,
    chunk_seconds: Iterable[float],
) -> Ended:
    """Write the account of a call that ended."""
    attribution, dialect = asked.attribution, asked.dialect
    return Ended(
        feature=attribution.feature, task=attribution.task, tags=attribution.tags,
        outcome=verdict.outcome, error_type=verdict.error_type,
        operation=dialect.operation, api_type=dialect.api_type,
        provider=asked.provider, model=asked.model, request_model=asked.model,
        server_address=asked.server_address, server_port=asked.server_port,
        stream=asked.facts.stream, parameters=asked.facts.parameters, status=status,
        response_model=facts.response_model, response_id=facts.response_id,
        finish_reasons=facts.finish_reasons, response_status=facts.response_status,
        service_tier=facts.service_tier, system_fingerprint=facts.system_fingerprint,
        usage=facts.usage, duration_ns=duration_ns,
        first_chunk_ns=first_chunk_ns if asked.streams else None, chunk_seconds=chunk_seconds,
    )  # fmt: skip
