"""docs/alerts.md holds every key of slo.yaml with its default, every alert with its severity."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel

from spanmeter_gateway.alerting import build
from spanmeter_gateway.alerting.objectives import FAST, MIN_QUANTILE_CALLS, SLOW
from spanmeter_gateway.alerting.slo import Slo, load
from spanmeter_gateway.alerting.slo_schema import SloShape

PAGE = (Path(__file__).parents[2] / "docs/alerts.md").read_text(encoding="utf-8")
SLO = Slo()
DEFAULTS = {
    "objective": f"{float(100 * (1 - SLO.promise.error_budget)):g}",
    "p95_s": f"{SLO.promise.p95_s:g}",
    "first_chunk_p95_s": f"{SLO.promise.first_chunk_p95_s:g}",
    "caller_error_ratio": f"{SLO.promise.caller_error_ratio:g}",
    "denied_ratio": f"{SLO.promise.denied_ratio:g}",
    "cancelled_ratio": f"{SLO.promise.cancelled_ratio:g}",
    "min_failed_calls": f"{SLO.min_failed_calls}",
    "default_team": SLO.default_team,
    "spend.spike_ratio": f"{SLO.spend.spike_ratio:g}",
    "spend.spike_usd_per_hour": f"{SLO.spend.spike_usd_per_hour:g}",
    "spend.new_feature_usd_per_hour": f"{SLO.spend.new_feature_usd_per_hour:g}",
    "untagged_ratio": f"{SLO.untagged_ratio:g}",
    "links.dashboards": SLO.links.dashboards,
    "links.playbooks": SLO.links.playbooks,
    "job": SLO.job,
}


def test_every_key_of_slo_yaml_stands_in_its_table_and_no_other() -> None:
    assert {row[0].strip("`") for row in _table("## Keys of slo.yaml")} == set(_keys(SloShape))


def test_every_default_is_that_of_the_code() -> None:
    told = {row[0].strip("`"): row[1].strip("`") for row in _table("## Keys of slo.yaml")}

    assert {key: told[key] for key in DEFAULTS} == DEFAULTS
    assert {key for key in told if told[key] not in {"none", "needed", "all"}} - set(DEFAULTS) == {
        key for key in told if key.startswith("features.NAME.") and key != "features.NAME.month_usd"
    }


def test_every_alert_stands_in_its_table_with_its_severity_and_its_playbook() -> None:
    severities: dict[str, list[str]] = {}
    for rule in _rules():
        severities.setdefault(rule["alert"], []).append(rule["labels"]["severity"])

    assert _table("## All alerts") == [
        [f"[{alert}](../grafana/playbooks.md#{alert.lower()})", row[1], ", ".join(found)]
        for row, (alert, found) in zip(
            _table("## All alerts"), _in_order(severities), strict=True
        )
    ]  # fmt: skip


def test_the_burn_rates_of_the_page_are_those_of_the_rules() -> None:
    told = " ".join(row[1] for row in _table("## All alerts")[:2])
    factors = re.findall(r"\b(14\.4|6 times|3 times|once)\b", told)

    assert factors == ["14.4", "6 times", "3 times", "once"]
    assert [burn.factor for burn in FAST + SLOW] == [14.4, 6, 3, 1]
    assert f"at least {MIN_QUANTILE_CALLS} calls in 10 minutes" in PAGE


def _rules() -> Iterator[dict[str, Any]]:
    # With budgets, for without them nobody can overspend one.
    everything = load(Path(__file__).parent / "everything.yaml")
    manifest = yaml.safe_load(build.files(everything)[build.MANIFEST])
    for group in manifest["spec"]["groups"]:
        yield from (rule for rule in group["rules"] if "alert" in rule)


def _in_order(severities: dict[str, list[str]]) -> list[tuple[str, list[str]]]:
    # As the page has them; a name that is missing on either side fails the comparison.
    told = re.findall(r"\[(Spanmeter\w+)\]", PAGE)
    return sorted(severities.items(), key=lambda item: [*told, item[0]].index(item[0]))


def _table(heading: str) -> list[list[str]]:
    section = PAGE.split(f"\n{heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def _keys(shape: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in shape.model_fields.items():
        key, inner = f"{prefix}{name}", _plain(field.annotation)
        if get_origin(inner) is dict:
            yield from _keys(_plain(get_args(inner)[1]), f"{key}.NAME.")
        elif get_origin(inner) is list and _is_shape(get_args(inner)[0]):
            yield from _keys(get_args(inner)[0], f"{key}[].")
        elif _is_shape(inner):
            yield from _keys(inner, f"{key}.")
        else:
            yield key


def _plain(kind: Any) -> Any:
    while get_origin(kind) in {Annotated, Union, UnionType}:
        kind = get_args(kind)[0]
    return kind


def _is_shape(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
