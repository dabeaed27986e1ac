"""House style of panels: plain values of Grafana's classic JSON, and nothing about any metric.

Source of every key: Grafana's documentation, "Dashboard JSON model"; the same in Grafana 10 to 13.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Json = dict[str, Any]

DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
GRID_COLUMNS = 24
SERIES_SHOWN = 10
"""More lines than this nobody can tell apart."""

# Colour by meaning.
GOOD, WARN, BAD = "green", "orange", "red"
COST = "blue"
UNTAGGED = "#8e8e8e"

Unit = Literal[
    "short",
    "percentunit",
    "s",
    "currencyUSD",
    "bytes",
    "reqps",
    "none",
    "dateTimeFromNow",
    "bool",
    "h",
]


@dataclass(frozen=True, slots=True)
class Query:
    """One target; `legend` names labels in braces. A table reads `is_table` ones, at one moment."""

    expr: str
    legend: str = ""
    is_instant: bool = False
    is_table: bool = False
    has_exemplars: bool = False
    min_step: str = ""
    """At least so far apart are the moments of a line: `1d`."""


@dataclass(frozen=True, slots=True)
class Step:
    """From this value on, this colour; the first step has none."""

    color: str
    value: float | None = None


PLAIN = (Step("text"),)


def limit(bad_from: float, *, warn_from: float | None = None) -> tuple[Step, ...]:
    """Colour by a limit that an alert has, too; below it good, from `warn_from` on doubtful."""
    warn = () if warn_from is None else (Step(WARN, warn_from),)
    return (Step(GOOD), *warn, Step(BAD, bad_from))


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How values are shown."""

    unit: str = "short"
    decimals: int | None = None
    steps: tuple[Step, ...] = PLAIN
    no_value: str = "none in this time range"
    minimum: float | None = 0
    maximum: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel. `key` names it for ever (its id is made of it), `width` is of 24 columns.

    `description` says what is shown, how it is computed and what to do about it.
    """

    key: str
    title: str
    description: str
    kind: Literal["stat", "timeseries", "table", "bargauge", "text", "alertlist", "piechart"]
    queries: tuple[Query, ...] = ()
    look: Look = Look()
    width: int = 8
    height: int = 8
    options: Mapping[str, Any] | None = None
    custom: Mapping[str, Any] | None = None
    """`fieldConfig.defaults.custom`: how lines are drawn, cells are coloured."""
    overrides: tuple[Json, ...] = ()
    transformations: tuple[Json, ...] = ()
    links: tuple[Json, ...] = ()
    """Where a click on a value leads."""
    max_points: int | None = None
    """At most so many moments of a line; else as many as it is wide."""
    time_from: str = ""
    """Shows this long until now, `7d`, whichever relative time range is chosen."""


@dataclass(frozen=True, slots=True)
class Row:
    """A heading and the panels under it."""

    title: str
    panels: tuple[Panel, ...]


def stat(key: str, title: str, **rest: Any) -> Panel:
    """Show one number; several with the names that their legends give."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "textMode": "auto",
        "orientation": "auto",
    }
    look: Json = {"options": options, "width": 4, "height": 4}
    return Panel(key=key, title=title, kind="stat", **(look | rest))


def lines(key: str, title: str, *, is_stacked: bool = False, **rest: Any) -> Panel:
    """Draw values over time."""
    options = {
        "legend": {"displayMode": "table", "placement": "bottom", "showLegend": True,
                   "calcs": ["mean", "max"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }  # fmt: skip
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 30 if is_stacked else 5,
        "showPoints": "auto",
        "spanNulls": False,
        "stacking": {"mode": "normal" if is_stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "off"},
    }
    look: Json = {"options": options, "custom": custom}
    return Panel(key=key, title=title, kind="timeseries", **(look | rest))


def bars(key: str, title: str, **rest: Any) -> Panel:
    """Compare values of this moment, the largest first."""
    options = {
        "displayMode": "gradient",
        "orientation": "horizontal",
        "showUnfilled": True,
        "valueMode": "color",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    look: Json = {"options": options}
    return Panel(key=key, title=title, kind="bargauge", **(look | rest))


def table(key: str, title: str, *, sort_by: str = "", **rest: Any) -> Panel:
    """Show rows; `transformations` join the queries and name the columns."""
    options = {
        "showHeader": True,
        "cellHeight": "sm",
        "sortBy": [{"displayName": sort_by, "desc": True}] if sort_by else [],
    }
    custom = {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True}
    look: Json = {"options": options, "custom": custom, "width": 24}
    return Panel(key=key, title=title, kind="table", **(look | rest))


def column(name: str, **properties: Any) -> Json:
    """Override one column or series by its name: `unit`, `decimals`, `links`, `custom.width` ..."""
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [
            {"id": key.replace("__", "."), "value": value} for key, value in properties.items()
        ],
    }


def matching(pattern: str, **properties: Any) -> Json:
    """Override the series whose name has this regular expression in it."""
    return column("", **properties) | {"matcher": {"id": "byRegexp", "options": f"/{pattern}/"}}


def thresholds(steps: Sequence[Step]) -> Json:
    """Write from which values on which colours hold."""
    shown = [{"color": step.color, "value": step.value} for step in steps]
    return {"mode": "absolute", "steps": shown}


def drill(title: str, path: str, **variables: str) -> Json:
    """Lead to another dashboard, with this time range and these variables.

    A value from the panel's own data ends in `:percentencode`: Grafana encodes a link as a whole,
    which leaves `&` and `#` of a value as they are.
    """
    chosen = "".join(f"&var-{name}={value}" for name, value in variables.items())
    url = f"{path}?${{__url_time_range}}&var-datasource=${{datasource}}{chosen}"
    return {"title": title, "url": url, "targetBlank": False}


def as_json(panel: Panel, uid: str) -> Json:
    """Print a panel without its place."""
    defaults: Json = {
        "unit": panel.look.unit,
        "noValue": panel.look.no_value,
        "color": {"mode": "thresholds" if panel.kind != "timeseries" else "palette-classic"},
        "thresholds": thresholds(panel.look.steps),
        "links": list(panel.links),
    }
    optional = {
        "decimals": panel.look.decimals,
        "min": panel.look.minimum,
        "max": panel.look.maximum,
        "custom": _custom(panel),
    }
    defaults |= {key: value for key, value in optional.items() if value is not None}
    printed = {
        "id": panel_id(uid, panel.key),
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "targets": [_target(place, query) for place, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": defaults, "overrides": list(panel.overrides)},
        "options": dict(panel.options or {}),
        "transformations": list(panel.transformations),
    }
    if panel.max_points is not None:
        printed["maxDataPoints"] = panel.max_points
    return printed | {"timeFrom": panel.time_from} if panel.time_from else printed


def _custom(panel: Panel) -> Json | None:
    # A limit is drawn where the values are lines; elsewhere it only colours them.
    if panel.kind != "timeseries" or len(panel.look.steps) == 1:
        return dict(panel.custom) if panel.custom else None
    return {**(panel.custom or {}), "thresholdsStyle": {"mode": "dashed"}}


def panel_id(uid: str, key: str) -> int:
    """Number a panel: the same for ever, so that links to it and its picture stay."""
    return zlib.crc32(f"{uid}/{key}".encode()) % 1_000_000


def _target(place: int, query: Query) -> Json:
    is_instant = query.is_instant or query.is_table
    printed = {
        "refId": chr(ord("A") + place),
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "instant": is_instant,
        "range": not is_instant,
        "format": "table" if query.is_table else "time_series",
        "exemplar": query.has_exemplars,
    }
    return printed | {"interval": query.min_step} if query.min_step else printed


def laid_out(rows: Sequence[Row], uid: str) -> list[Json]:
    """Place panels from left to right, row by row; a row of panels is as high as its highest."""
    placed: list[Json] = []
    top = 0
    for row in rows:
        placed.append(_heading(row.title, uid) | {"gridPos": _place(0, top, GRID_COLUMNS, 1)})
        top += 1
        left = height = 0
        for panel in row.panels:
            if left + panel.width > GRID_COLUMNS:
                top, left, height = top + height, 0, 0
            place = _place(left, top, panel.width, panel.height)
            placed.append(as_json(panel, uid) | {"gridPos": place})
            left, height = left + panel.width, max(height, panel.height)
        top += height
    return placed


def _heading(title: str, uid: str) -> Json:
    key = panel_id(uid, f"row {title}")
    return {"id": key, "type": "row", "title": title, "collapsed": False, "panels": []}


def _place(x: int, y: int, *size: int) -> Json:
    width, height = size
    return {"x": x, "y": y, "w": width, "h": height}
