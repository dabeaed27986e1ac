"""How `spanmeter top` looks: a table that refreshes itself, one print of it, or JSON."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from spanmeter_gateway import top
from spanmeter_gateway.errors import BooksUnreachable

REFRESH_S = 2.0
PRINT_S = 5.0
"""Where there is no terminal, a whole table is printed this often."""
FEATURE_WIDTH = 16
"""What a long name gets before a number has to go for it."""
_EDGES = 2
_GAP = 2
"""What the table itself takes: at both sides, and before each number."""


@dataclass(frozen=True, slots=True)
class _Column:
    heading: str
    cell: Callable[[top.Row], str | Text]
    style: str = ""


_NUMBERS = (
    _Column("calls", lambda row: f"{row.calls:,}"),
    _Column("calls/s", lambda row: _known(row.calls_per_s, ".1f")),
    _Column("errors", lambda row: Text(f"{row.errors:,}", style="red" if row.errors else "")),
    _Column("err %", lambda row: _percent(row.error_rate)),
    _Column("tok in", lambda row: _short(row.input_tokens)),
    _Column("tok out", lambda row: _short(row.output_tokens)),
    _Column("cost USD", lambda row: f"{row.cost_usd:,.4f}", style="green"),
    _Column("p95 s", lambda row: _known(row.p95_s, ".2f")),
)
_FIRST_TO_GO = ("calls/s", "tok out", "tok in", "p95 s", "errors", "err %", "cost USD")
"""The order in which a narrow terminal loses its numbers."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One reading as it is shown: with the one before it, and where both come from."""

    url: str
    reading: top.Reading
    before: top.Reading | None = None


def once(console: Console, url: str, *, token: str | None = None) -> None:
    """Print one table."""
    shot = Shot(url, _look(url, token))
    console.print(view(console, shot), soft_wrap=not console.is_terminal)


def as_json(url: str, *, token: str | None = None) -> str:
    """Write one reading as JSON: `features`, `total` and `health`."""
    reading = _look(url, token)
    return json.dumps(
        {
            "features": [asdict(row) for row in top.rows(reading, None)],
            "total": asdict(top.total(reading, None)),
            "health": asdict(reading.health),
        },
        indent=2,
    )


def follow(
    console: Console,
    url: str,
    *,
    token: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Show the table until interrupted; raises `BooksUnreachable` if the first look fails."""
    shot = Shot(url, _look(url, token))
    if not console.is_terminal:
        while True:
            console.print(view(console, shot), soft_wrap=True)
            console.file.flush()
            sleep(PRINT_S)
            shot = Shot(url, _look(url, token), shot.reading)
    with Live(_live(console, shot), console=console, auto_refresh=False) as live:
        while True:
            sleep(REFRESH_S)
            try:
                shot = Shot(url, _look(url, token), shot.reading)
            except BooksUnreachable as error:
                live.update(_live(console, shot, error.message), refresh=True)
            else:
                live.update(_live(console, shot), refresh=True)


def _look(url: str, token: str | None) -> top.Reading:
    return top.read(top.fetch(url, token=token), at_s=time.monotonic())


def _live(console: Console, shot: Shot, late: str = "") -> RenderableType:
    """Lay out a reading so that it ends within the terminal, whatever its height."""
    around = len(console.render_lines(view(console, shot, most_lines=1, late=late))) - 1
    return view(console, shot, most_lines=max(1, console.height - around), late=late)


def view(
    console: Console, shot: Shot, *, most_lines: int | None = None, late: str = ""
) -> RenderableType:
    """Lay out a reading: the features, their total, and what the numbers leave out."""
    rows = top.rows(shot.reading, shot.before)
    total = top.total(shot.reading, shot.before)
    # A line for the features that are left out takes the place of one.
    shown = rows if most_lines is None or len(rows) <= most_lines else rows[: most_lines - 1]
    columns, room = _fitting(console, [*rows, total])
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("feature", overflow="ellipsis", no_wrap=True, max_width=max(1, room))
    for column in columns:
        table.add_column(column.heading, justify="right", style=column.style, no_wrap=True)
    for row in shown:
        table.add_row(Text(row.feature), *(column.cell(row) for column in columns))
    if len(shown) < len(rows):
        table.add_row(Text(f"{len(rows) - len(shown):,} more", style="dim"))
    table.add_section()
    table.add_row(total.feature, *(column.cell(total) for column in columns), style="bold")
    below = [_health(shot.reading.health), Text(top.metrics_url(shot.url), style="dim")]
    return Group(table, *below, *([Text(late, style="yellow")] if late else []))


def _fitting(console: Console, rows: Sequence[top.Row]) -> tuple[list[_Column], int]:
    """Choose the numbers that fit beside the features, and how wide these may be."""
    width_by_heading = {
        column.heading: max(len(str(text)) for text in (column.heading, *map(column.cell, rows)))
        for column in _NUMBERS
    }
    wanted = min(max(cell_len(row.feature) for row in rows), FEATURE_WIDTH)
    gone = 0
    while True:
        columns = [column for column in _NUMBERS if column.heading not in _FIRST_TO_GO[:gone]]
        numbers = sum(width_by_heading[column.heading] + _GAP for column in columns)
        room = console.width - numbers - _EDGES
        if room >= max(wanted, len("feature")) or gone == len(_FIRST_TO_GO):
            return columns, room
        gone += 1


def _short(count: int) -> str:
    if count < 10_000:
        return f"{count:,}"
    for unit, letter in ((10**9, "G"), (10**6, "M")):
        if count >= unit - unit // 2000:  # what would be rounded to 1000.0 of the unit below
            return f"{count / unit:,.1f}{letter}"
    return f"{count / 1000:.1f}k"


def _percent(share: float | None) -> str:
    return _known(None if share is None else share * 100, ".1f")


def _known(number: float | None, form: str) -> str:
    return "-" if number is None else format(number, form)


def _health(health: top.Health) -> Text:
    lag = "unknown" if health.lag_s is None else f"{health.lag_s:.1f} s"
    text = (
        f"unmetered {health.unmetered:,}   unpriced {health.unpriced:,}   "
        f"receipts dropped {health.dropped:,}   books lag {lag}"
    )
    return Text(text, style="yellow" if health.dropped else "dim")
