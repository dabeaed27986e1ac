"""How `spanmeter top` looks: a table that refreshes itself, one print of it, or JSON."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from spanmeter_gateway import top
from spanmeter_gateway.errors import BooksUnreachable

REFRESH_S = 2.0
PRINT_S = 5.0
"""Where there is no terminal, a whole table is printed this often."""


def once(console: Console, url: str) -> None:
    """Print one table."""
    console.print(view(_look(url), None), soft_wrap=not console.is_terminal)


def as_json(url: str) -> str:
    """Write one reading as JSON: `features`, `total` and `health`."""
    reading = _look(url)
    return json.dumps(
        {
            "features": [asdict(row) for row in top.rows(reading, None)],
            "total": asdict(top.total(reading, None)),
            "health": asdict(reading.health),
        },
        indent=2,
    )


def follow(console: Console, url: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Show the table until interrupted; raises `BooksUnreachable` if the first look fails."""
    before, reading = None, _look(url)
    if not console.is_terminal:
        while True:
            console.print(view(reading, before), soft_wrap=True)
            console.file.flush()
            sleep(PRINT_S)
            before, reading = reading, _look(url)
    with Live(view(reading, None), console=console, auto_refresh=False) as live:
        while True:
            sleep(REFRESH_S)
            try:
                before, reading = reading, _look(url)
            except BooksUnreachable as error:
                late = Text(error.message, style="yellow")
                live.update(Group(view(reading, before), late), refresh=True)
            else:
                live.update(view(reading, before), refresh=True)


def _look(url: str) -> top.Reading:
    return top.read(top.fetch(url), at_s=time.monotonic())


def view(reading: top.Reading, before: top.Reading | None) -> RenderableType:
    """Lay out a reading: the features, their total, and what the numbers leave out."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    # The feature alone may fold where the terminal is narrow; a number never does.
    table.add_column("feature", overflow="fold", min_width=12, max_width=40)
    for heading in ("calls", "calls/s", "errors", "err %", "tok in", "tok out"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("cost USD", justify="right", style="green", no_wrap=True)
    table.add_column("p95 s", justify="right", no_wrap=True)
    for row in top.rows(reading, before):
        table.add_row(*_cells(row))
    table.add_section()
    table.add_row(*_cells(top.total(reading, before)), style="bold")
    return Group(table, _health(reading.health))


def _cells(row: top.Row) -> tuple[str | Text, ...]:
    return (
        Text(row.feature),
        f"{row.calls:,}",
        _known(row.calls_per_s, ".1f"),
        Text(f"{row.errors:,}", style="red" if row.errors else ""),
        _known(None if row.error_rate is None else row.error_rate * 100, ".1f"),
        _short(row.input_tokens),
        _short(row.output_tokens),
        f"{row.cost_usd:,.4f}",
        _known(row.p95_s, ".2f"),
    )


def _short(count: int) -> str:
    for unit, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= unit * 10:
            return f"{count / unit:,.1f}{letter}"
    return f"{count:,}"


def _known(number: float | None, form: str) -> str:
    return "-" if number is None else format(number, form)


def _health(health: top.Health) -> Text:
    lag = "unknown" if health.lag_s is None else f"{health.lag_s:.1f} s"
    text = (
        f"unmetered {health.unmetered:,}   unpriced {health.unpriced:,}   "
        f"receipts dropped {health.dropped:,}   books lag {lag}"
    )
    return Text(text, style="yellow" if health.dropped else "dim")
