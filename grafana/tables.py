"""Tables with one row for each value of a label: queries joined by it, columns named.

Source of the names that Grafana gives to what a table query returns (`Value #A`, and after a join
`Time 1`): its source, `transformDFToTable` of the Prometheus data source, `getUniqueFieldName`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from grafana.panels import BAD, GOOD, Json, Panel, Query, Step, column, table, thresholds

FLAT = 0.01
"""A smaller change is none."""
NEUTRAL = "text"
_NO_LIMIT = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: its name, its query, how its cells look."""

    name: str
    expr: str
    unit: str = "short"
    decimals: int | None = None
    steps: tuple[Step, ...] = ()
    """Colours the text of a cell."""
    is_trend: bool = False
    """A change, as share: in colour from 1 % on."""
    is_arrow: bool = False
    """A change, as share: shown as an arrow up, down or flat (within 1 %), blank where unknown."""
    is_good_or_bad: bool = True
    """More of it is bad; else a change has no colour."""
    width: int | None = None


def by_label(
    key: str,
    title: str,
    label: str,
    *,
    head: str,
    columns: tuple[Column, ...],
    further: Mapping[str, str] | None = None,
    **rest: Any,
) -> Panel:
    """Make a table with a row for each value of a label; `rest` is `panels.table`'s.

    `further` are the heads of more labels: then each combination has a row.
    """
    heads = {label: head, **(further or {})}
    queries = tuple(Query(each.expr, each.name, is_table=True) for each in columns)
    names = {f"Value #{chr(ord('A') + place)}": each.name for place, each in enumerate(columns)}
    if len(columns) == 1:
        names = {"Value": columns[0].name, **names}
    order = {raw: place for place, raw in enumerate((*heads, *names))}
    times = {name: True for name in ("Time", *(f"Time {n}" for n in range(1, len(columns) + 1)))}
    return table(
        key,
        title,
        queries=queries,
        transformations=(
            _joined(label) if len(heads) == 1 else {"id": "merge", "options": {}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": times,
                    "indexByName": order,
                    "renameByName": {**heads, **names},
                },
            },
        ),
        **rest | {"overrides": (*rest.get("overrides", ()), *map(_look, columns))},
    )


def _joined(label: str) -> Json:
    return {"id": "joinByField", "options": {"byField": label, "mode": "outer"}}


def _look(each: Column) -> Json:
    # A blank cell says that there is none; the panel's `noValue` would stand in each of them.
    is_change = each.is_trend or each.is_arrow
    properties: dict[str, object] = {
        "unit": "percentunit" if is_change else each.unit,
        "noValue": "",
    }
    if each.decimals is not None:
        properties["decimals"] = each.decimals
    if each.width is not None:
        properties["custom__width"] = each.width
    more, less = (BAD, GOOD) if each.is_good_or_bad else (NEUTRAL, NEUTRAL)
    if each.is_trend:
        steps = (Step(less), Step(NEUTRAL, -FLAT), Step(more, FLAT))
        properties |= {"decimals": 0, "thresholds": thresholds(steps)}
    elif each.is_arrow:
        properties |= {"mappings": _arrows(more, less), "custom__align": "center"}
    elif each.steps:
        properties["thresholds"] = thresholds(each.steps)
    if is_change or each.steps:
        properties["custom__cellOptions"] = {"type": "color-text"}
    return column(each.name, **properties)


def _arrows(more: str, less: str) -> list[Json]:
    # The first range that holds is taken; both of its ends are in it. No end is null: Grafana 10
    # reads that as 0, later ones as without end.
    ranges = (
        (-FLAT, FLAT, "\N{BLACK RIGHT-POINTING TRIANGLE}", NEUTRAL),
        (-1, -FLAT, "\N{BLACK DOWN-POINTING TRIANGLE}", less),
        (FLAT, _NO_LIMIT, "\N{BLACK UP-POINTING TRIANGLE}", more),
    )
    return [
        {
            "type": "range",
            "options": {
                "from": begin,
                "to": end,
                "result": {"text": text, "color": color, "index": place},
            },
        }
        for place, (begin, end, text, color) in enumerate(ranges)
    ]
