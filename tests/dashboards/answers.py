"""Ask a Prometheus what Grafana would ask it, many questions at a time, and judge the answers."""

import json
import math
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from tests.dashboards import shipped
from tests.dashboards.grafana_queries import Choice, Window, substituted
from tests.dashboards.shipped import Json, Target

from grafana.sources import SERIES

_AT_A_TIME = 4
_TIMEOUT_S = 60.0
Choices = Mapping[str, Choice]


@dataclass(frozen=True, slots=True)
class Question:
    """One query with its variables filled in."""

    target: Target
    path: str
    parameters: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `series` counts those with a number; a value that is none is a `problem`."""

    question: Question
    series: int
    seconds: float
    problem: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    """By series and moment."""


def question(target: Target, choices: Choices, window: Window) -> Question:
    """Fill in the variables, and say where Prometheus is asked: at a moment or over the range."""
    window = replace(window, min_step_s=target.min_step_s, max_points=target.max_points)
    expr = substituted(target.expr, choices, window)
    begin = window.until_s - window.range_s
    if target.label is not None:
        parameters = {"match[]": expr, "start": f"{begin}", "end": f"{window.until_s}"}
        return Question(target, f"/api/v1/label/{target.label}/values", tuple(parameters.items()))
    if target.is_instant:
        parameters = {"query": expr, "time": f"{window.until_s}"}
        return Question(target, "/api/v1/query", tuple(parameters.items()))
    step = window.interval_s
    # Grafana moves both ends to multiples of the step.
    parameters = {
        "query": expr, "start": f"{begin // step * step}",
        "end": f"{window.until_s // step * step}", "step": f"{step}",
    }  # fmt: skip
    return Question(target, "/api/v1/query_range", tuple(parameters.items()))


def decided(url: str, dashboard: Json, choices: Choices, window: Window) -> Choices:
    """Let Prometheus choose which series the hidden variables name, as it does at each load."""
    chosen = dict(choices)
    for variable in shipped.sources(dashboard):
        asked = question(shipped.of_variable(variable), choices, window)
        _, answer = _get(f"{url}{asked.path}?{urllib.parse.urlencode(asked.parameters)}")
        [row] = answer["result"]
        chosen[variable["name"]] = Choice((row["metric"][SERIES],), None, is_many=False)
    return chosen


def ask_all(url: str, questions: Iterable[Question]) -> list[Answer]:
    """Ask each question once, though several targets may have it."""
    every = list(questions)
    distinct = {(each.path, each.parameters): each for each in every}
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        found = pool.map(lambda each: ask(url, each), distinct.values())
        answers = dict(zip(distinct, found, strict=True))
    return [answers[each.path, each.parameters] for each in every]


def ask(url: str, asked: Question) -> Answer:
    """Ask, and read what came back."""
    begun = time.perf_counter()
    status, answer = _get(f"{url}{asked.path}?{urllib.parse.urlencode(asked.parameters)}")
    seconds = time.perf_counter() - begun
    if status != "success":
        return Answer(asked, 0, seconds, str(answer))
    if asked.target.label is not None:
        return Answer(asked, len([value for value in answer if value]), seconds)
    series = answer["result"]
    if answer["resultType"] == "scalar":
        series = [{"value": series}]
    odd = [row for row in series if not all(map(math.isfinite, _values(row).values()))]
    problem = f"{len(odd)} series are no number, one of {odd[0].get('metric')}" if odd else ""
    values = {key: value for row in series for key, value in _values(row).items()}
    return Answer(asked, len(series), seconds, problem, values)


def _values(row: Mapping[str, Any]) -> dict[str, float]:
    points = row["values"] if "values" in row else [row["value"]]
    labels = sorted(row.get("metric", {}).items())
    return {f"{labels} {at}": float(value) for at, value in points}


def _get(address: str) -> tuple[str, Any]:
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT_S) as answer:
            body = json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        with refused:
            body = json.loads(refused.read())
    return body["status"], body.get("data") if body["status"] == "success" else body["error"]
