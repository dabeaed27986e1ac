"""Rules under promtool: traffic by the minute in, alerts and values out, one call for many cases.

Evaluating is what costs, features cost little: `complaints(..., together=True)` runs all cases in
one world, each with features of its own, and `about` says what concerns one case.
"""

import math
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.components import require

from spanmeter_gateway.alerting import build
from spanmeter_gateway.alerting.promql import FEATURE, MODEL, OUTCOME, PROVIDER, text
from spanmeter_gateway.alerting.slo import Slo
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.names import Metric, label

Labels = Mapping[str, str]
Expectation = dict[str, Any]
INTERVAL = "30s"
"""Of the groups: promtool evaluates all rules at one interval, whatever their group says."""
UNEDITED = Slo()
SCRAPED = {"job": "spanmeter", "instance": "books-1:9464"}
_CALL = {
    label(names.TASK): "answer",
    PROVIDER: "openai",
    MODEL: "gpt-5",
    label(names.OPERATION): "chat",
}


@dataclass(frozen=True, slots=True)
class Series:
    """One input series in promtool's notation: a sample a minute."""

    series: str
    values: str


@dataclass(frozen=True, slots=True)
class Span:
    """Some minutes of a counter."""

    minutes: int
    per_minute: float
    is_scraped: bool = True
    is_restart: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """Series, and what the rules make of them."""

    name: str
    series: Sequence[Series]
    expectations: Sequence[Expectation]


def every_minute(minutes: int, count: float) -> Span:
    """Count so much in each of these minutes."""
    return Span(minutes, count)


def unscraped(minutes: int, count: float = 0) -> Span:
    """Count on while nobody scrapes; at the beginning: the series is not there yet."""
    return Span(minutes, count, is_scraped=False)


def restarted(minutes: int, count: float) -> Span:
    """Begin at 0 again, as a counter whose process lost its books."""
    return Span(minutes, count, is_restart=True)


def counted(spans: Iterable[Span], *, begins_at: float = 0) -> str:
    """Write a counter's samples, one a minute from minute 0 on; it is 0 when it is first seen."""
    total, parts = begins_at, []
    for span in spans:
        if not span.is_scraped:
            parts.append(f"_x{span.minutes}")
            total += span.minutes * span.per_minute
            continue
        total = 0.0 if span.is_restart else total
        parts.append(f"{total:.15g}+{span.per_minute:.15g}x{span.minutes - 1}")
        total += span.minutes * span.per_minute
    return " ".join(parts)


def counter(metric: str, labels: Labels, *spans: Span) -> Series:
    """Make a counter, scraped from the books."""
    return Series(_selector(metric, SCRAPED | dict(labels)), counted(spans))


def gauge(metric: str, labels: Labels, *runs: tuple[int, float | None]) -> Series:
    """Make a gauge of runs: so many minutes of a value; None is a gap."""
    return recorded(metric, SCRAPED | dict(labels), *runs)


def recorded(metric: str, labels: Labels, *runs: tuple[int, float | None]) -> Series:
    """Make a series as `gauge` does, with these labels alone: what another rule recorded."""
    values = [f"_x{many}" if value is None else f"{value:.15g}x{many - 1}" for many, value in runs]
    return Series(_selector(metric, labels), " ".join(values))


def calls(
    feature: str, by_outcome: Mapping[str, Sequence[Span]], **labels: str
) -> tuple[Series, ...]:
    """Count the calls of a feature; the other labels have values that `labels` changes."""
    of_feature = {FEATURE: feature} | _CALL | labels
    return tuple(
        counter(names.CALLS.prometheus_name, of_feature | {OUTCOME: outcome}, *spans)
        for outcome, spans in by_outcome.items()
    )


def durations(
    feature: str, by_bound: Mapping[float, Sequence[Span]], **labels: str
) -> tuple[Series, ...]:
    """Count what served calls took: those that end within a bound, and above the one before."""
    metric = names.CALL_DURATION
    return _buckets(metric, {FEATURE: feature} | _CALL | {OUTCOME: "ok"} | labels, by_bound)


def first_chunks(
    feature: str, by_bound: Mapping[float, Sequence[Span]], metric: Metric = names.TIME_TO_FIRST
) -> tuple[Series, ...]:
    """Count the times to the first chunk; another metric for another generation of names."""
    return _buckets(metric, {FEATURE: feature} | _CALL, by_bound)


def fires(at: str, alert: str, *who: Labels, feature: str = "") -> Expectation:
    """Expect exactly these to fire at a moment, each by its labels but `alertname`.

    With `feature`: exactly these of that feature, by their labels but its name.
    """
    firing = f'ALERTS{{alertname="{alert}",alertstate="firing"{_of(feature)}}}'
    dropped = f", {FEATURE}" if feature else ""
    expr = f"group without (alertname, alertstate{dropped}) ({firing})"
    return shows(at, expr, *((labels, 1) for labels in who))


def quiet(until: str, alerts: str = ".+", *, feature: str = "") -> Expectation:
    """Expect that none of these fires from the beginning on; `alerts` is a regular expression."""
    named = f'alertname=~"{alerts}",alertname!="SpanmeterWatchdog"'
    firing = f'ALERTS{{{named},alertstate="firing"{_of(feature)}}}'
    return shows(until, f"max_over_time({firing}[{until}])")


def _of(feature: str) -> str:
    return f",{FEATURE}={text(feature)}" if feature else ""


def shows(at: str, expr: str, *samples: tuple[Labels, float]) -> Expectation:
    """Expect exactly these samples; values are compared digit by digit, so round in the query."""
    expected = [{"labels": _selector("", labels), "value": value} for labels, value in samples]
    return {"promql_expr_test": {"expr": expr, "eval_time": at, "exp_samples": expected}}


def tells(at: str, alert: str, labels: Labels, annotations: Mapping[str, str]) -> Expectation:
    """Expect one alert with all its labels and texts, templates filled in."""
    expected = [{"exp_labels": dict(labels), "exp_annotations": dict(annotations)}]
    return {"alert_rule_test": {"alertname": alert, "eval_time": at, "exp_alerts": expected}}


def complaints(
    folder: Path,
    cases: Iterable[Case],
    slo: Slo = UNEDITED,
    *,
    interval: str = INTERVAL,
    files: Sequence[str] = (),
    without: Sequence[str] = (),
    together: bool = False,
) -> str:
    """Run the cases on the rules of an `slo.yaml`; return what promtool complains about.

    `files` are the rule files to load, `features` and so on: all of them, if none is named;
    `without` are groups to leave out, as those over days cost most.
    `together` puts the series of all cases into one world.
    """
    tests = [_test(case) for case in cases]
    tells = any(test["alert_rule_test"] for test in tests)
    chosen = {
        stem: _rules(content, without, has_texts=tells)
        for stem, content in _contents(slo, files).items()
    }
    for stem, rules in chosen.items():
        (folder / f"{stem}.yaml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    test = {
        "rule_files": [f"{stem}.yaml" for stem in chosen],
        "evaluation_interval": interval,
        "group_eval_order": [each["name"] for rules in chosen.values() for each in rules["groups"]],
        "tests": [_merged(tests)] if together else tests,
    }
    (folder / "test.yaml").write_text(yaml.safe_dump(test, sort_keys=False), encoding="utf-8")
    done = subprocess.run(
        [require("promtool"), "test", "rules", "test.yaml"],
        cwd=folder, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return "" if done.returncode == 0 else done.stdout + done.stderr


def about(complained: str, name: str) -> str:
    """Return what is said of one case, and what is said of none."""
    parts = re.split(r"\n(?=    (?:expr|name): )", complained)
    unnamed = [part for part in parts if not re.match(r"    (?:expr|name): ", part)]
    of_case = [part for part in parts if f"# {name}" in part or f"name: {name}," in part]
    said = "\n".join(unnamed + of_case).replace("Unit Testing:  test.yaml", "").strip()
    return "" if said == "FAILED:" else said


def _contents(slo: Slo, files: Sequence[str]) -> dict[str, str]:
    by_stem = {
        Path(path).stem: content
        for path, content in build.files(slo).items()
        if path != build.MANIFEST
    }
    return {stem: by_stem[stem] for stem in files or by_stem}


def _rules(content: str, without: Sequence[str], *, has_texts: bool) -> dict[str, Any]:
    groups = yaml.safe_load(content)["groups"]
    kept = [group for group in groups if group["name"] not in without]
    for rule in (rule for group in kept for rule in group["rules"] if not has_texts):
        # Each would ask its queries at each moment, and nobody reads the answers.
        rule.pop("annotations", None)
    return {"groups": kept}


def _test(case: Case) -> dict[str, Any]:
    tests: dict[str, Any] = {
        "name": case.name,
        "interval": "1m",
        "input_series": [{"series": each.series, "values": each.values} for each in case.series],
        "promql_expr_test": [],
        "alert_rule_test": [],
    }
    for expectation in case.expectations:
        for kind, content in expectation.items():
            tests[kind].append(_named(content, case.name))
    return tests


def _merged(tests: Sequence[dict[str, Any]]) -> dict[str, Any]:
    lists = ("input_series", "promql_expr_test", "alert_rule_test")
    merged = {key: [each for test in tests for each in test[key]] for key in lists}
    return {"name": "all cases together", "interval": "1m"} | merged


def _named(expectation: Expectation, name: str) -> Expectation:
    # promtool 2.42 names no test whose expression has another value: a comment does.
    if "expr" not in expectation:
        return expectation
    return expectation | {"expr": f"{expectation['expr']} # {name}"}


def _buckets(
    metric: Metric, labels: Labels, by_bound: Mapping[float, Sequence[Span]]
) -> tuple[Series, ...]:
    name = f"{metric.prometheus_name}_bucket"
    known = {label(each) for each in metric.attributes}
    kept = {key: value for key, value in labels.items() if key in known}
    assert set(by_bound) <= {*metric.buckets, math.inf}, f"bounds are {metric.buckets}"
    bounds = {f"{each:g}": each for each in metric.buckets} | {"+Inf": math.inf}
    buckets = (
        counter(name, kept | {"le": bound}, *_sum(by_bound, up_to))
        for bound, up_to in bounds.items()
    )
    count = counter(f"{metric.prometheus_name}_count", kept, *_sum(by_bound, math.inf))
    return (*buckets, count)


def _sum(by_bound: Mapping[float, Sequence[Span]], up_to: float) -> list[Span]:
    # All have spans of the same lengths: a scrape brings all buckets, or none.
    found = [spans for bound, spans in by_bound.items() if bound <= up_to]
    shape = next(iter(by_bound.values()))
    return [
        Span(
            span.minutes,
            sum(spans[place].per_minute for spans in found),
            span.is_scraped,
            span.is_restart,
        )
        for place, span in enumerate(shape)
    ]


def _selector(metric: str, labels: Labels) -> str:
    inside = ",".join(f"{key}={text(value)}" for key, value in labels.items())
    return f"{metric}{{{inside}}}"
