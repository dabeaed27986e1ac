"""The result, as a table for people and as JSON for machines."""

import os
import platform
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from bench.contest import DISTURBED, Contest, Noise
from bench.rows import Row, Sheet, middle, number
from spanmeter_gateway import compiled

_STYLES = {"aim": "green", "bar": "yellow", "MISSED": "bold red", "": ""}


@dataclass(slots=True)
class Report:
    """All rows, and what they were measured under."""

    names: tuple[str, str]
    rows: list[Row] = field(default_factory=list)
    sheets: list[Sheet] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    relay: str = field(default_factory=lambda: _relay_line())
    """What the relays that start now run."""

    def remark_on(self, contest: Contest) -> None:
        """Say what disturbed the runs, and whether every call left its receipt."""
        self.remarks.append(_noise_line(contest.noise))
        if contest.sent:
            self.remarks.append(f"receipts: {contest.receipts} of {contest.sent} calls made")
            self.remarks.append(self.relay)
        self.remarks.extend(f"failed run: {failure}" for failure in contest.noise.failures)

    def show(self, console: Console) -> None:
        """Print the table."""
        table = Table(title="Ratios within one run, taking turns on one core")
        table.add_column("what", no_wrap=True)
        for name in self.names:
            table.add_column(name, justify="right")
        for heading in ("compared [min..max]", "bar", "aim"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("verdict")
        table.add_column("note")
        for row in self.rows:
            table.add_row(*cells(row), style=_STYLES[row.verdict])
        console.print(table)
        for sheet in self.sheets:
            _show_sheet(console, sheet)
        for remark in self.remarks:
            console.print(remark, highlight=False)

    def to_json(self) -> bytes:
        """Write everything, every round included."""
        machine = {"cpus": os.cpu_count(), "kernel": platform.release()}
        rows = [
            {
                **{name: getattr(row, name) for name in ("what", "unit", "compared_unit", "note")},
                self.names[0]: row.reference,
                self.names[1]: row.ours,
                "compared": row.compared,
                "median": row.value if row.compared else None,
                "bar": row.bar.must if row.bar else None,
                "aim": row.bar.aim if row.bar else None,
                "better": row.bar.better if row.bar else None,
                "verdict": row.verdict,
            }
            for row in self.rows
        ]
        whole: dict[str, Any] = {
            "machine": machine,
            "rows": rows,
            "sheets": self.sheets,
            "remarks": self.remarks,
        }
        return msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n"


def _show_sheet(console: Console, sheet: Sheet) -> None:
    table = Table(title=sheet.title)
    for place, heading in enumerate(sheet.headings):
        table.add_column(heading, justify="right" if place else "left")
    for line in sheet.lines:
        table.add_row(*line)
    console.print(table)
    for note in sheet.notes:
        console.print(f"- {note}", highlight=False)


def _relay_line() -> str:
    return "relay: compiled" if compiled.find() else "relay: interpreted; see spanmeter compile"


def _noise_line(noise: Noise) -> str:
    if not noise.others:
        return "noise: nothing was measured"
    others, stolen = median(noise.others), median(noise.stolen)
    quiet = "" if max(others, stolen) < DISTURBED else " - NOT A QUIET MACHINE: run it again"
    return (
        f"noise: others used {others:.2f} of the two cores (at most {max(noise.others):.2f}), "
        f"the host took {stolen:.0%} (at most {max(noise.stolen):.0%}){quiet}"
    )


def cells(row: Row) -> tuple[str, ...]:
    """Print a row as a line of the table."""
    compared = "-"
    if row.compared:
        low, high = min(row.compared), max(row.compared)
        compared = f"{number(row.value)} [{number(low)}..{number(high)}] {row.compared_unit}"
    bar = ("", "") if row.bar is None else (number(row.bar.must), number(row.bar.aim))
    sides = (_side(row.reference, row.unit), _side(row.ours, row.unit))
    return (row.what, *sides, compared, *bar, row.verdict, row.note)


def _side(values: tuple[float, ...], unit: str) -> str:
    return f"{number(middle(values))} {unit}" if values else "-"
