"""What became of the calls: the receipts in the spool, the series of a scrape, the spans over OTLP.

Read from outside, as text; then held against what each cell must be.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance.callers import KEY_NAME, TASK, Seen, expected_seen, tags
from tests.conformance.columns import COLUMN_BY_ID
from tests.conformance.expected import ROWS, Cell
from tests.fakes.otlp_sink import SinkSpan
from tests.gateway_process import Metrics

CALLS = "spanmeter_calls_total"
WAITS = "spanmeter_call_duration_seconds_count"
INFERENCES = "gen_ai_client_inference_duration_seconds_count"
EMBEDDINGS = "gen_ai_client_operation_duration_seconds_count"
_CHANGING = ("server_address", "server_port", "gen_ai_response_model")
"""Labels of the GenAI metrics that say where the pretend provider was, and what it answered."""

Found = dict[str, list[dict[str, Any]]]
"""What was found of one cell, by where."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that one gateway left."""

    receipts: list[dict[str, Any]]
    metrics: Metrics
    spans: list[SinkSpan]
    log: str


def read_lines(data_dir: Path, kind: str) -> list[dict[str, Any]]:
    """Read the spool's lines of a kind; spans that are not taken keep receipts there."""
    lines = [
        json.loads(line)
        for file in sorted((data_dir / "spool").glob("*.ndjson"))
        for line in _read(file).splitlines()
    ]
    return [line for line in lines if line["type"] == kind]


def _read(file: Path) -> bytes:
    """Read a segment; one without receipts may be gone by now."""
    with suppress(FileNotFoundError):
        return file.read_bytes()
    return b""


def called(receipt: Mapping[str, Any]) -> str:
    """Return the tag `call` of a receipt."""
    return str(dict(receipt.get("tags", ())).get("call", ""))


def servers(spans: Iterable[SinkSpan]) -> dict[str, SinkSpan]:
    """Return the SERVER spans by id: one may be sent twice, and then it is the same."""
    return {span.span_id: span for span in spans if span.kind == "SERVER"}


def found(evidence: Evidence) -> dict[str, Found]:
    """Sort what was left by cell."""
    by_cell: dict[str, Found] = defaultdict(lambda: defaultdict(list))
    for receipt in evidence.receipts:
        by_cell[called(receipt)]["receipt"].append(receipt)
    for name in (CALLS, WAITS, INFERENCES, EMBEDDINGS):
        for labels, value in evidence.metrics.select(name):
            if value:
                cell = f"{labels['spanmeter_feature']}.{labels['spanmeter_tag_team']}"
                kept = {key: text for key, text in labels.items() if key not in _CHANGING}
                by_cell[cell][name].append(kept | {"value": value})
    for span in {span.span_id: span for span in evidence.spans}.values():
        cells = span.attributes.get("spanmeter.tag.call", ("",))
        by_cell[cells[0]][span.kind].append(dict(span.attributes))
    return by_cell


def deviations(cell: Cell, seen: Seen, left: Found) -> list[str]:
    """Say in what a cell is not as it must be."""
    wrong = []
    if seen != expected_seen(cell):
        wrong.append(f"the caller saw {seen} instead of {expected_seen(cell)}")
    for where, expected in _expected(cell).items():
        came = [_only(each, expected) for each in left.get(where, [])]
        if came != ([expected] if expected else []):
            wrong.append(f"{where}: {came} instead of {expected or 'none'}")
    return wrong


def _expected(cell: Cell) -> dict[str, dict[str, Any]]:
    """Write down what must be found of a cell, by where; empty: nothing."""
    column = COLUMN_BY_ID[cell.column]
    is_sent = ROWS[cell.row].reaches == "sent"
    labels = {
        "spanmeter_feature": cell.row,
        "gen_ai_provider_name": column.provider,
        "gen_ai_request_model": _model(cell) or "",
        "gen_ai_operation_name": column.operation,
        "spanmeter_tag_env": "test",
        "spanmeter_tag_team": cell.column,
        "spanmeter_tag_project": "",
        "spanmeter_tag_cost_center": "",
        "value": 1.0,
    }
    error = {"error_type": cell.error_type or ""}
    outcome = {"spanmeter_outcome": cell.outcome}
    attempt = labels | error if is_sent else {}
    is_embedding = column.operation == "embeddings"
    return {
        "receipt": _receipt(cell),
        CALLS: labels | outcome | error | {"spanmeter_task": TASK},
        WAITS: labels | outcome,
        INFERENCES: {} if is_embedding else attempt,
        EMBEDDINGS: attempt if is_embedding else {},
        "SERVER": _span(cell),
        "CLIENT": _client_span(cell) if is_sent else {},
    }


def _model(cell: Cell) -> str | None:
    column = COLUMN_BY_ID[cell.column]
    is_known = column.has_model_in_path or ROWS[cell.row].reaches == "sent"
    return column.model if is_known else None


def _key(cell: Cell) -> str | None:
    return None if ROWS[cell.row].reaches == "denied" else KEY_NAME


def _receipt(cell: Cell) -> dict[str, Any]:
    column = COLUMN_BY_ID[cell.column]
    return {
        "feature": cell.row,
        "task": TASK,
        "tags": [list(pair) for pair in tags(cell)],
        "outcome": cell.outcome,
        "error_type": cell.error_type,
        "provider": column.provider,
        "request_model": _model(cell),
        "dialect": column.dialect,
        "operation": column.operation,
        "key_id": _key(cell),
        "input_tokens": _input_tokens(cell),
    }


def _input_tokens(cell: Cell) -> object:
    """Say what must be known of the usage; `...`: whatever came before the end."""
    if cell.row in ("ok", "books-killed", "left-after-usage"):
        return COLUMN_BY_ID[cell.column].input_tokens
    return None if cell.row == "left-before-usage" else ...


def _span(cell: Cell) -> dict[str, Any]:
    return {
        "spanmeter.feature": cell.row,
        "spanmeter.task": TASK,
        "spanmeter.tag.env": ("test",),
        "spanmeter.tag.team": (cell.column,),
        "spanmeter.tag.call": (cell.id,),
        "spanmeter.tag.step": ("1", "2"),
        "spanmeter.outcome": cell.outcome,
        "spanmeter.key.id": _key(cell),
        "error.type": cell.error_type,
    }


def _client_span(cell: Cell) -> dict[str, Any]:
    column = COLUMN_BY_ID[cell.column]
    return _span(cell) | {
        "gen_ai.provider.name": column.provider,
        "gen_ai.request.model": column.model,
        "gen_ai.operation.name": column.operation,
    }


def _only(left: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what is asked about; of metrics, whose every label counts, everything."""
    if "value" in left:
        return dict(left)
    usage = left.get("usage") or {}
    kept = {key: left.get(key) for key in expected}
    if "input_tokens" in expected:
        is_asked = expected["input_tokens"] is not ...
        kept["input_tokens"] = usage.get("input_tokens") if is_asked else ...
    return kept
