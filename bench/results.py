"""Writes RESULTS.md: what one run measured, and what has to be known to read it."""

from collections.abc import Sequence
from pathlib import Path

from bench.report import Report, cells
from bench.rows import Sheet

FILE = Path(__file__).parent / "RESULTS.md"

_HEAD = """# Results

One run of the benchmark, written by `python -m bench --write`; what each row means is in
[README.md](README.md). Only what is compared means anything: absolute figures are of this machine,
at that moment. Ratios under 1.3, and every p99, are no evidence from one run.
"""

_CAVEATS = """
## What to know

- **nginx** is the limit of what a proxy can reach. It does nothing for its calls: no usage, no
  receipt.
- **Spanmeter** reads usage and attribution of every call, writes its receipt to the disk, and
  checks what it forwards. It issues no keys here, never translates between providers or caches.
- **The peers** do other things, some of them more: keys, budgets, retries, translation between
  providers, caches, guardrails. Each is set up as its documentation says for production, on one
  core, its databases off; a ratio says what a call costs there in that version, not why.
- **One machine**: the candidate has one core with all its threads, mock upstream and load the
  other. Loopback only, HTTP/1.1, small prompts unless said otherwise; minutes, not days.
"""


def write(report: Report, environment: Sequence[tuple[str, str]]) -> Path:
    """Write the file in place of the last run's."""
    parts = [
        _HEAD,
        _table(("", "this run"), environment),
        "## Compared\n",
        _table(
            ("what", *report.names, "compared [min..max]", "bar", "aim", "verdict", "note"),
            [cells(row) for row in report.rows],
        ),
        *(_section(sheet) for sheet in report.sheets),
        "## What disturbed it\n",
        "".join(f"- {' '.join(remark.split())}\n" for remark in report.remarks),
    ]
    FILE.write_text("\n".join(parts) + _CAVEATS)
    return FILE


def _section(sheet: Sheet) -> str:
    notes = "".join(f"- {note}\n" for note in sheet.notes)
    return f"## {sheet.title}\n\n{_table(sheet.headings, sheet.lines)}\n{notes}"


def _table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [headings, ["---"] * len(headings), *lines]
    return "".join(f"| {' | '.join(map(_escaped, row))} |\n" for row in rows)


def _escaped(cell: str) -> str:
    return " ".join(cell.replace("|", "\\|").split())
