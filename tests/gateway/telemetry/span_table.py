"""The conventions' span attributes as docs/spans.md tells them, and a span held against them.

The page names each attribute's type, level and source. When a conditional one must be there is
said once more here, as a function of the receipt.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from spanmeter_gateway.receipt import Attempt, Receipt
from spanmeter_gateway.telemetry import names

PAGE = (Path(__file__).parents[3] / "docs/spans.md").read_text()
SERVER, INFERENCE = "SERVER", "Inference CLIENT"
EMBEDDINGS, PASSED_THROUGH = "Embeddings CLIENT", "Passed-through CLIENT"
KINDS = (SERVER, INFERENCE, EMBEDDINGS, PASSED_THROUGH)
SWITCHED = {"gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cost"}
"""On spans only where the configuration says so."""

_TYPES = {
    "string_value": "string",
    "int_value": "int",
    "double_value": "double",
    "bool_value": "boolean",
}


class Row(NamedTuple):
    """One attribute on one kind of span."""

    attribute: str
    type: str
    level: str
    source: str


def rows(heading: str) -> list[list[str]]:
    """Read the cells of the tables under a heading."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip().strip("`") for cell in line] for line in lines]


TABLE = {kind: {row[0]: Row(*row[:4]) for row in rows(kind)} for kind in KINDS}
OWN = {row[0]: (row[1], row[2]) for row in rows("Our own") if len(row) == 4}
EVENT = {row[0]: row[1] for row in rows("Our own") if len(row) == 2}
LEFT_OUT = {(row[1], row[0]): row[2] for row in rows("Left out")}


class Case(NamedTuple):
    """What one span was made of; the SERVER span has no attempt."""

    receipt: Receipt
    attempt: Attempt | None

    @property
    def kind(self) -> str:
        if self.attempt is None:
            return SERVER
        if self.receipt.kind == "passthrough":
            return PASSED_THROUGH
        return EMBEDDINGS if self.receipt.operation == "embeddings" else INFERENCE

    @property
    def model(self) -> str | None:
        return (self.attempt and self.attempt.model) or self.receipt.request_model

    @property
    def is_last(self) -> bool:
        return self.attempt is self.receipt.attempts[-1]

    @property
    def has_failed(self) -> bool:
        attempt, is_ok = self.attempt, self.receipt.outcome == "ok"
        if attempt is None:
            return not is_ok
        has_bad_status = attempt.status is not None and attempt.status >= 400
        return bool(attempt.error_type) or has_bad_status or (self.is_last and not is_ok)

    @property
    def is_openai(self) -> bool:
        return self.attempt is not None and self.attempt.provider in ("openai", "azure.ai.openai")

    @property
    def has_server(self) -> bool:
        attempt, receipt = self.attempt, self.receipt
        if attempt is None:
            return bool(receipt.listen_address and receipt.listen_port)
        return bool(attempt.server_address and attempt.server_port)

    @property
    def status(self) -> int | None:
        return self.receipt.http_status if self.attempt is None else self.attempt.status

    def sent(self, parameter: str) -> Any:
        return self.receipt.parameters.get(parameter)


WHEN: Mapping[str, Callable[[Case], bool]] = {
    "http.request.method_original": lambda case: case.receipt.method not in names.HTTP_METHODS,
    "http.response.status_code": lambda case: case.status is not None,
    "http.route": lambda case: case.receipt.route != "",
    "server.port": lambda case: case.has_server,
    "error.type": lambda case: case.has_failed,
    "gen_ai.request.model": lambda case: case.model is not None,
    "gen_ai.request.stream": lambda case: case.receipt.stream,
    "gen_ai.request.choice.count": lambda case: case.sent("choice_count") not in (None, 1),
    "gen_ai.request.seed": lambda case: case.sent("seed") is not None,
    "gen_ai.request.top_k": lambda case: case.sent("top_k") is not None,
    "gen_ai.output.type": lambda case: case.sent("output_type") is not None,
    "gen_ai.conversation.id": lambda case: case.sent("conversation_id") is not None,
    "gen_ai.prompt.name": lambda case: case.sent("prompt_name") is not None,
    "gen_ai.prompt.version": lambda case: case.sent("prompt_version") is not None,
    "openai.request.service_tier": lambda case: (
        case.is_openai and case.sent("service_tier") not in (None, "auto")
    ),
    "openai.response.service_tier": lambda case: (
        case.is_openai and case.is_last and case.receipt.service_tier is not None
    ),
}


def complaints(span: Span, case: Case) -> Iterator[str]:
    """Say everything in which a span is not as the page says; nothing where all is right."""
    found = {pair.key: pair.value for pair in span.attributes}
    if len(found) != len(span.attributes):
        yield "an attribute is there twice"
    for key, value in found.items():
        if _wanted_type(case.kind, key) != _type(value):
            yield f"{key} is {_type(value)}, not {_wanted_type(case.kind, key)}"
    due, not_due = _due(case)
    yield from (f"{key} is missing" for key in due - found.keys())
    yield from (f"{key} is not due" for key in not_due & found.keys())
    if "gen_ai.request.stream" in found and not found["gen_ai.request.stream"].bool_value:
        yield "gen_ai.request.stream is false"
    if (span.kind, span.name) != _identity(case):
        yield f"kind and name are {span.kind} {span.name!r}"
    if span.status != _status(case):
        yield f"status is {span.status}"


def _due(case: Case) -> tuple[set[str], set[str]]:
    """List what must be on a span of this case, and what must not be on it."""
    by_level: dict[str, set[str]] = {}
    for row in TABLE[case.kind].values():
        by_level.setdefault(row.level, set()).add(row.attribute)
    due = {key for key in by_level["conditional"] if WHEN[key](case)}
    own = {"spanmeter.feature", "spanmeter.outcome"}
    if case.kind in (INFERENCE, EMBEDDINGS):
        own.add("spanmeter.usage.source")
    return due | by_level["required"] | own, by_level["conditional"] - due


def _wanted_type(kind: str, key: str) -> str:
    if key in TABLE[kind]:
        return TABLE[kind][key].type
    own, spans = OWN.get(re.sub(r"^spanmeter\.tag\..*", "spanmeter.tag.<key>", key), ("", ""))
    is_model = kind in (INFERENCE, EMBEDDINGS)
    return own if spans == "all" or (spans == "model" and is_model) else "not to be there"


def _type(value: AnyValue) -> str:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        kinds = {item.WhichOneof("value") for item in value.array_value.values}
        return "string[]" if kinds == {"string_value"} else f"array of {kinds}"
    return _TYPES.get(str(kind), str(kind))


def _identity(case: Case) -> tuple[int, str]:
    receipt = case.receipt
    method = receipt.method if receipt.method in names.HTTP_METHODS else "HTTP"
    if case.kind == SERVER:
        return Span.SPAN_KIND_SERVER, f"{method} {receipt.route}".rstrip()
    if case.kind == PASSED_THROUGH:
        return Span.SPAN_KIND_CLIENT, method
    return Span.SPAN_KIND_CLIENT, f"{receipt.operation} {case.model or ''}".strip()


def _status(case: Case) -> Status:
    status = case.receipt.http_status
    has_failed = case.has_failed
    if case.kind == SERVER and status is not None and status >= 400:
        has_failed = status >= 500
    return Status(code=Status.STATUS_CODE_ERROR) if has_failed else Status()
