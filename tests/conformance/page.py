"""The page about the matrix, written from what a run found."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.conformance.expected import CELLS, PLAIN, REASONS, ROWS, STREAMED, Cell, grid
from tests.conformance.run import Findings

PAGE = Path(__file__).parents[2] / "docs/conformance.md"
VARIABLE = "SPANMETER_WRITE_DOCS"

_INTRODUCTION = f"""\
# Conformance

Written by `{VARIABLE}=1 .venv/bin/python -m pytest tests/conformance`, which makes each of these
calls through a real gateway to a pretend provider; without the variable the same run fails when
this page is not what it found.

A row is a way for a call to end, a column a dialect. A tick says that the call left **exactly one
receipt**, and that all of these agree on it, each label and attribute compared:

- the receipt: feature, task, every tag, provider, model, gateway key, outcome, error type; and the
  usage, where it came before the end;
- `spanmeter_calls_total`: feature, task, allow-listed tags, provider, model, outcome, error type;
- `spanmeter_call_duration_seconds`: the same without task and error type, which would multiply its
  buckets;
- `gen_ai_client_inference_duration_seconds` (of embeddings
  `gen_ai_client_operation_duration_seconds`): feature, allow-listed tags, provider, model, error
  type; of calls that were sent to a provider;
- the SERVER span: feature, task, every tag, outcome, error type; the CLIENT span, of calls that
  were sent to a provider: those, provider and model.

Beside the tick stands the error type; what each means is in [errors.md](errors.md). Of a call that
is refused before its body can be read (`policy-denied`, `malformed`, `oversize`) the model is
unknown, and so empty, but where the dialect has it in the path (Gemini, Azure).
"""


def page(findings: Findings) -> str:
    """Write the page."""
    return "\n".join([_INTRODUCTION, *_rows(), *_matrix(findings), *_reasons()])


def committed(found: str) -> str:
    """Return the page as it stands; where the environment says so, first write what was found."""
    if os.environ.get(VARIABLE):
        unfinished = PAGE.with_suffix(".md.part")
        unfinished.write_text(found)
        unfinished.replace(PAGE)
    return PAGE.read_text()


def _rows() -> Iterator[str]:
    outcomes = {row: outcome for row, outcome, *_ in grid(PLAIN)}
    yield "## The ways to end\n"
    yield _table(
        ("row", "what happens", "the caller gets", "outcome"),
        ((f"`{name}`", row.what, row.caller, f"`{outcomes[name]}`") for name, row in ROWS.items()),
    )


def _matrix(findings: Findings) -> Iterator[str]:
    texts = {cell.id: _text(cell, findings.deviations[cell.id]) for cell in CELLS}
    for title, source in (("Not streamed", PLAIN), ("Streamed", STREAMED)):
        head, *lines = grid(source)
        columns = head[2:]
        yield f"## {title}\n"
        yield _table(
            ("row", *(column.removesuffix("-stream") for column in columns)),
            (
                (f"`{row}`", *(texts.get(f"{row}.{column}", text) for column, text in cells))
                for row, _, *expected in lines
                for cells in [list(zip(columns, expected, strict=True))]
            ),
        )


def _text(cell: Cell, wrong: list[str]) -> str:
    mark = "✗" if wrong else "✓"
    return f"{mark} `{cell.error_type}`" if cell.error_type else mark


def _reasons() -> Iterator[str]:
    yield "n/a: a call that cannot exist.\n"
    yield "".join(f"- {letter}: {reason}\n" for letter, reason in REASONS.items())


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
