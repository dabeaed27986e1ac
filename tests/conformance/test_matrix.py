"""However a call ends, in whichever dialect: one receipt, and everything says the same of it."""

import pytest
from tests.conformance.callers import expected_seen
from tests.conformance.columns import COLUMNS
from tests.conformance.evidence import deviations
from tests.conformance.expected import CELLS, PLAIN, REASONS, ROWS, STREAMED, Cell, grid
from tests.conformance.page import committed, page
from tests.conformance.run import Findings

from spanmeter.dialects.registry import DIALECTS


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.id)
def test_a_call_is_counted_once_and_alike_everywhere(findings: Findings, cell: Cell) -> None:
    assert findings.deviations[cell.id] == []


def test_nothing_else_is_counted(findings: Findings) -> None:
    assert findings.strays == []


def test_no_content_is_in_what_is_counted(findings: Findings) -> None:
    assert findings.content == []


def test_the_page_is_what_the_run_found(findings: Findings) -> None:
    found = page(findings)

    assert committed(found) == found


def test_every_dialect_is_a_column() -> None:
    assert {column.dialect for column in COLUMNS} == {dialect.name for dialect in DIALECTS}


def test_every_column_meets_every_row() -> None:
    plain, streamed = grid(PLAIN), grid(STREAMED)

    assert [line[0] for line in plain[1:]] == [line[0] for line in streamed[1:]] == list(ROWS)
    assert {column.id for column in COLUMNS} == {cell.column for cell in CELLS}
    assert {column.id: column.is_stream for column in COLUMNS}.items() <= (
        dict.fromkeys(plain[0][2:], False) | dict.fromkeys(streamed[0][2:], True)
    ).items()


def test_a_cell_is_empty_for_a_reason_only() -> None:
    texts = [text for line in (*grid(PLAIN), *grid(STREAMED)) for text in line]

    assert "" not in texts
    assert {text for text in texts if text.startswith("n/a")} == {f"n/a {key}" for key in REASONS}


def test_a_call_that_left_no_trace_deviates_wherever_one_is_due() -> None:
    cell = Cell("ok", "openai-chat", "ok", None)

    wrong = deviations(cell, expected_seen(cell), {})

    assert [each.partition(":")[0] for each in wrong] == [
        "receipt",
        "spanmeter_calls_total",
        "spanmeter_call_duration_seconds_count",
        "gen_ai_client_inference_duration_seconds_count",
        "SERVER",
        "CLIENT",
    ]
