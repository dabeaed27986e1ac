"""What has been found of an answer so far, in the dialects whose answers have choices."""

from spanmeter.dialects.dialect import ResponseFacts
from spanmeter.usage import Usage


class Found:
    """The facts that an answer or a stream has said of itself; a reading fills them in."""

    _model: str | None = None
    _id: str | None = None
    _service_tier: str | None = None
    _system_fingerprint: str | None = None
    _usage: Usage | None = None
    _cost_usd: str | None = None
    _upstream_usd: str | None = None
    _is_error = False
    _error: str | None = None

    def __init__(self) -> None:
        self._reason_by_index: dict[int, str] = {}

    def has_ended(self) -> bool:
        """Tell whether a choice gave its reason to end."""
        return bool(self._reason_by_index)

    def facts(self) -> ResponseFacts:
        """Say what is known so far."""
        return ResponseFacts(
            response_model=self._model,
            response_id=self._id,
            finish_reasons=tuple(reason for _, reason in sorted(self._reason_by_index.items())),
            usage=self._usage,
            is_error=self._is_error,
            error_type=self._error,
            service_tier=self._service_tier,
            system_fingerprint=self._system_fingerprint,
            reported_cost_usd=self._cost_usd,
            upstream_cost_usd=self._upstream_usd,
        )
