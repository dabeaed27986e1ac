"""The dashboards as Grafana loads them, `grafana/dist/*.json`, and every query that is in them."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.dashboards.grafana_queries import ALL, Choice

ROOT = Path(__file__).parents[2]
DIST = ROOT / "grafana/dist"
UIDS = sorted(file.stem for file in DIST.glob("*.json"))
WITHOUT_QUERIES = frozenset({"row", "text", "alertlist"})
"""Kinds of panels that ask Prometheus nothing."""
_LABEL_VALUES = re.compile(r"label_values\((?:(.+), *)?(\w+)\)", re.DOTALL)
_QUERY_RESULT = re.compile(r"query_result\((.+)\)", re.DOTALL)

STEPS_S = {"": 0, "1d": 86400}
"""Steps that targets name."""

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """One query: of a panel, of a variable or of an annotation."""

    place: str
    expr: str
    is_instant: bool = True
    legend: str = ""
    label: str | None = None
    """Asks for the values of this label, of the series that `expr` selects."""
    min_step_s: int = 0
    """At least so far apart are the moments that a range query asks for."""
    max_points: int | None = None
    """At most so many moments it asks for."""


def load(uid: str) -> dict[str, Any]:
    """Read a dashboard."""
    found: dict[str, Any] = json.loads((DIST / f"{uid}.json").read_text(encoding="utf-8"))
    return found


def panels(dashboard: Json) -> Iterator[Json]:
    """List the panels, those in collapsed rows too, without the rows."""
    for panel in dashboard["panels"]:
        if panel["type"] != "row":
            yield panel
        yield from panel.get("panels", ())


def variables(dashboard: Json, kind: str = "query") -> list[Json]:
    """List the variables of a kind."""
    return [each for each in dashboard["templating"]["list"] if each["type"] == kind]


def sources(dashboard: Json) -> list[Json]:
    """List the hidden variables that name the series of a sum, the metric's or a recorded one."""
    return [each for each in variables(dashboard) if each["hide"] == 2]


def of_panels(dashboard: Json) -> list[Target]:
    """List the queries of all panels."""
    return [
        Target(
            f"{panel['title']} / {target['refId']}",
            target["expr"],
            target.get("instant", False),
            target.get("legendFormat", ""),
            min_step_s=STEPS_S[target.get("interval", "")],
            max_points=panel.get("maxDataPoints"),
        )
        for panel in panels(dashboard)
        for target in panel.get("targets", ())
    ]


def of_annotations(dashboard: Json) -> list[Target]:
    """List the queries of all annotations: over the time range, as Grafana asks."""
    return [
        Target(f"annotation {each['name']}", each["expr"], is_instant=False)
        for each in dashboard["annotations"]["list"]
    ]


def of_variables(dashboard: Json) -> list[Target]:
    """List the queries of all variables."""
    return [of_variable(each) for each in variables(dashboard)]


def of_variable(variable: Json) -> Target:
    """Read `label_values(series, label)` or `query_result(expression)`."""
    place, text = f"variable {variable['name']}", variable["query"]["query"]
    if found := _LABEL_VALUES.fullmatch(text):
        return Target(place, found[1], label=found[2])
    found = _QUERY_RESULT.fullmatch(text)
    assert found, f"{place} asks what only Grafana knows: {text}"
    return Target(place, found[1])


def everything(dashboard: Json) -> list[Target]:
    """List every query that the dashboard makes."""
    return [*of_variables(dashboard), *of_annotations(dashboard), *of_panels(dashboard)]


def at_all(dashboard: Json) -> dict[str, Choice]:
    """Choose All for every variable that has it, else what the dashboard comes with."""
    choices: dict[str, Choice] = {}
    for each in dashboard["templating"]["list"]:
        if each["type"] in {"query", "custom", "interval"}:
            is_many = bool(each.get("multi") or each.get("includeAll"))
            current = each["current"].get("value") or ()
            values = (current,) if isinstance(current, str) else tuple(current)
            if each.get("includeAll"):
                values = (ALL,)
            if values:
                choices[each["name"]] = Choice(values, each.get("allValue"), is_many)
    return choices
