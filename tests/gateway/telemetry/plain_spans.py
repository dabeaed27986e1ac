"""The same spans through the official protobuf classes: slow, plain, and written apart."""

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from spanmeter_gateway.bill import Bill
from spanmeter_gateway.receipt import Attempt, Receipt

OPENAI = ("openai", "azure.ai.openai")


def any_value(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value)
    return AnyValue(array_value=ArrayValue(values=[any_value(item) for item in value]))


def key_values(attributes: Mapping[str, Any]) -> list[KeyValue]:
    return [
        KeyValue(key=key, value=any_value(value))
        for key, value in attributes.items()
        if value is not None
    ]


def plain_spans(receipt: Receipt, bill: Bill) -> list[Span]:
    if not receipt.trace.sampled:
        return []
    build = _inference if receipt.kind == "call" else _passed_through
    return [_server(receipt), *(build(receipt, bill, attempt) for attempt in receipt.attempts)]


def _error(receipt: Receipt) -> str | None:
    if receipt.outcome == "ok":
        return None
    status = receipt.http_status
    return receipt.error_type or (str(status) if status and status >= 400 else "_OTHER")


def _attempt_error(receipt: Receipt, attempt: Attempt) -> str | None:
    if attempt.error_type:
        return attempt.error_type
    if attempt.status and attempt.status >= 400:
        return str(attempt.status)
    return _error(receipt) if attempt is receipt.attempts[-1] else None


def _attribution(receipt: Receipt) -> dict[str, Any]:
    tags = {
        f"spanmeter.tag.{key}": [value for other, value in receipt.tags if other == key]
        for key, _ in receipt.tags
    }
    return {
        "spanmeter.feature": receipt.feature, "spanmeter.task": receipt.task, **tags,
        "spanmeter.tags": [f"{key}:{value}" for key, value in receipt.tags] or None,
        "spanmeter.outcome": receipt.outcome, "spanmeter.key.id": receipt.key_id,
        "spanmeter.rule": receipt.rule,
    }  # fmt: skip


def _server(receipt: Receipt) -> Span:
    is_known = receipt.method in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
    failed = receipt.outcome != "ok" if (receipt.http_status or 0) < 400 else False
    failed = failed or (receipt.http_status or 0) >= 500
    attributes = {
        "http.request.method": receipt.method if is_known else "_OTHER",
        "http.request.method_original": None if is_known else receipt.method,
        "url.scheme": "http", "http.route": receipt.route or None,
        "http.response.status_code": receipt.http_status,
        "network.protocol.version": receipt.http_version,
        "server.address": receipt.listen_address or None,
        "server.port": (receipt.listen_address and receipt.listen_port) or None,
        "error.type": _error(receipt), **_attribution(receipt),
    }  # fmt: skip
    span = Span(
        name=f"{receipt.method if is_known else 'HTTP'} {receipt.route}".strip(),
        kind=Span.SPAN_KIND_SERVER,
        parent_span_id=bytes.fromhex(receipt.trace.parent_id or ""),
        flags=(0x301 if receipt.trace.parent_id else 0x101) + 2 * receipt.trace.random,
        **_common(receipt, receipt.trace.span_id, receipt.started_at_ns, receipt.duration_ns),
        attributes=key_values(attributes),
        status=Status(code=Status.STATUS_CODE_ERROR) if failed else None,
    )
    if receipt.violations:
        event = {
            "spanmeter.tags.dropped.count": len(receipt.violations),
            "spanmeter.tags.dropped.reasons": [reason for reason, _ in receipt.violations],
            "spanmeter.tags.dropped.sources": [source for _, source in receipt.violations],
        }
        span.events.add(
            name="tags.dropped",
            time_unix_nano=receipt.started_at_ns,
            attributes=key_values(event),
        )
    return span


def _common(receipt: Receipt, span_id: str, start_ns: int, duration_ns: int) -> dict[str, Any]:
    return {
        "trace_id": bytes.fromhex(receipt.trace.trace_id),
        "span_id": bytes.fromhex(span_id),
        "trace_state": receipt.trace.state or "",
        "start_time_unix_nano": start_ns,
        "end_time_unix_nano": start_ns + duration_ns,
    }


def _client(receipt: Receipt, attempt: Attempt, name: str, attributes: dict[str, Any]) -> Span:
    failed = _attempt_error(receipt, attempt) is not None
    return Span(
        name=name,
        kind=Span.SPAN_KIND_CLIENT,
        parent_span_id=bytes.fromhex(receipt.trace.span_id),
        flags=0x101 + 2 * receipt.trace.random,
        **_common(receipt, attempt.span_id, attempt.started_at_ns, attempt.duration_ns),
        attributes=key_values({**attributes, **_attribution(receipt)}),
        status=Status(code=Status.STATUS_CODE_ERROR) if failed else None,
    )


def _upstream(receipt: Receipt, attempt: Attempt) -> dict[str, Any]:
    return {
        "server.address": attempt.server_address or None,
        "server.port": (attempt.server_address and attempt.server_port) or None,
        "error.type": _attempt_error(receipt, attempt),
    }


def _passed_through(receipt: Receipt, _: Bill, attempt: Attempt) -> Span:
    is_known = receipt.method in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
    attributes = {
        "http.request.method": receipt.method if is_known else "_OTHER",
        "http.request.method_original": None if is_known else receipt.method,
        "http.response.status_code": attempt.status,
        "http.request.resend_count": attempt.retries or None,
        **_upstream(receipt, attempt),
    }
    return _client(receipt, attempt, receipt.method if is_known else "HTTP", attributes)


def _inference(receipt: Receipt, bill: Bill, attempt: Attempt) -> Span:
    model = attempt.model or receipt.request_model
    is_last = attempt is receipt.attempts[-1]
    is_embeddings = receipt.operation == "embeddings"
    is_openai = attempt.provider in OPENAI and not is_embeddings
    is_stream = receipt.stream and not is_embeddings
    first_chunk = attempt.first_chunk_ns if is_stream else None
    attributes = {
        "gen_ai.operation.name": receipt.operation, "gen_ai.provider.name": attempt.provider,
        "gen_ai.request.model": model, **_upstream(receipt, attempt),
        "spanmeter.request.model_alias":
            receipt.request_model if receipt.request_model != model else None,
        "azure.resource_provider.namespace":
            "Microsoft.CognitiveServices" if attempt.provider == "azure.ai.inference" else None,
        "gen_ai.request.stream": is_stream or None,
        "openai.api.type": receipt.api_type if is_openai else None,
        "spanmeter.usage.source": "provider" if is_last and receipt.usage else "none",
        "spanmeter.retry.count": attempt.retries or None,
        "gen_ai.response.time_to_first_chunk": None if first_chunk is None else first_chunk / 1e9,
        **_parameters(receipt, is_openai),
        **(_answer(receipt, bill, attempt) if is_last else {}),
    }  # fmt: skip
    return _client(receipt, attempt, f"{receipt.operation or ''} {model or ''}".strip(), attributes)


def _parameters(receipt: Receipt, is_openai: bool) -> dict[str, Any]:  # noqa: FBT001 - a fact
    sent = receipt.parameters
    if receipt.operation == "embeddings":
        encoding = sent.get("encoding_format")
        return {
            "gen_ai.request.encoding_formats": [encoding] if encoding is not None else None,
            "gen_ai.embeddings.dimension.count": sent.get("dimension_count"),
        }
    doubles = ("temperature", "top_p", "frequency_penalty", "presence_penalty")
    texts = {
        "reasoning_level": "gen_ai.request.reasoning.level",
        "previous_response_id": "gen_ai.request.previous_response.id",
        "output_type": "gen_ai.output.type",
        "conversation_id": "gen_ai.conversation.id",
        "prompt_name": "gen_ai.prompt.name",
        "prompt_version": "gen_ai.prompt.version",
    }
    tier = sent.get("service_tier")
    choices = sent.get("choice_count")
    return {
        **{f"gen_ai.request.{key}": float(sent[key]) for key in doubles if key in sent},
        **{f"gen_ai.request.{key}": sent.get(key) for key in ("max_tokens", "top_k", "seed")},
        **{name: sent.get(key) for key, name in texts.items()},
        "gen_ai.request.choice.count": choices if choices != 1 else None,
        "openai.request.service_tier": tier if is_openai and tier != "auto" else None,
    }


def _finish_reasons(receipt: Receipt, attempt: Attempt) -> Sequence[str] | None:
    reasons = list(receipt.finish_reasons or ())
    if receipt.operation == "embeddings":
        return None
    refused = attempt.status is not None and attempt.status >= 300
    if receipt.outcome != "ok" and not refused and receipt.response_status != "completed":
        reasons += [""] * (receipt.parameters.get("choice_count", 1) - len(reasons))
        reasons = [reason or "error" for reason in reasons]
    return reasons or None


def _answer(receipt: Receipt, bill: Bill, attempt: Attempt) -> dict[str, Any]:
    is_openai = attempt.provider in OPENAI and receipt.operation != "embeddings"
    usage = receipt.usage
    total = bill.total_nanos
    tokens: dict[str, Any] = {}
    if usage is not None:
        tokens = {
            "input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens,
            "cache_read.input_tokens": usage.cache_read_tokens,
            "cache_write.input_tokens": usage.cache_write_tokens,
            "reasoning.output_tokens": usage.reasoning_tokens,
            "text.input_tokens": usage.input_text_tokens,
            "image.input_tokens": usage.input_image_tokens,
            "audio.input_tokens": usage.input_audio_tokens,
            "text.output_tokens": usage.output_text_tokens,
            "image.output_tokens": usage.output_image_tokens,
            "audio.output_tokens": usage.output_audio_tokens,
            "audio.cache_read.input_tokens": usage.cache_read_audio_tokens,
        }  # fmt: skip
    if receipt.operation == "embeddings":
        tokens = {"input_tokens": usage and usage.input_tokens}
    return {
        "gen_ai.response.model": receipt.response_model,
        "gen_ai.response.id": receipt.response_id if receipt.operation != "embeddings" else None,
        "gen_ai.response.finish_reasons": _finish_reasons(receipt, attempt),
        "openai.response.service_tier": receipt.service_tier if is_openai else None,
        "openai.response.system_fingerprint": receipt.system_fingerprint if is_openai else None,
        **{f"gen_ai.usage.{name}": count for name, count in tokens.items()},
        "spanmeter.cost.amount": None if total is None else total / 1e9,
        "spanmeter.cost.currency": None if total is None else "USD",
        "spanmeter.cost.source": None if total is None else bill.source,
        "spanmeter.cost.price_version": None if total is None else bill.price_version,
    }
