"""Every metric and label in a rule exists: read from what Prometheus' own parser makes of it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.prometheus_process import PrometheusProcess
from tests.rule_parser import (
    FOREIGN_LABELS,
    METRIC_LABELS,
    OWN_LABELS,
    RECORDED,
    grouped,
    is_known,
    labels,
    parsed,
    selected,
)

from spanmeter_gateway.alerting import build, slo

EVERYTHING = Path(__file__).parent / "everything.yaml"


@pytest.fixture(scope="module")
def parser() -> Iterator[PrometheusProcess]:
    with PrometheusProcess({}, program="prometheus3", scrape_interval="1m") as prometheus:
        yield prometheus


@pytest.fixture(scope="module", params=["default", "everything"])
def rules(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """All rules as files have them, of an empty slo.yaml and of one with every key."""
    chosen = slo.Slo() if request.param == "default" else slo.load(EVERYTHING)
    return [
        rule
        for path, content in build.files(chosen).items()
        if path != build.MANIFEST
        for group in yaml.safe_load(content)["groups"]
        for rule in group["rules"]
    ]


def test_every_metric_in_a_rule_is_one_that_exists(
    parser: PrometheusProcess, rules: list[dict[str, Any]]
) -> None:
    asked = {named.metric for query in _queries(rules) for named in selected(parser, query)}

    assert {metric for metric in asked if not is_known(metric)} == set()
    assert len(asked) > 20


def test_every_label_of_a_raw_metric_in_a_rule_is_one_that_it_has(
    parser: PrometheusProcess, rules: list[dict[str, Any]]
) -> None:
    wrong = {
        (named.metric, unknown)
        for query in _queries(rules)
        for named in selected(parser, query)
        for unknown in named.labels - labels(named.metric)
    }

    assert wrong == set()


def test_every_label_that_a_rule_groups_or_joins_by_exists(
    parser: PrometheusProcess, rules: list[dict[str, Any]]
) -> None:
    asked = {name for query in _queries(rules) for name in grouped(parsed(parser, query))}
    told = {name for rule in rules for name in re.findall(r"\$labels\.(\w+)", str(rule))}

    assert (asked | told) - METRIC_LABELS - OWN_LABELS - FOREIGN_LABELS == set()


def test_every_recorded_series_is_named_in_the_table_of_series(rules: list[dict[str, Any]]) -> None:
    assert {rule["record"] for rule in rules if "record" in rule} - RECORDED == set()


def test_every_rule_that_reads_a_recorded_series_finds_a_rule_that_records_it(
    parser: PrometheusProcess,
) -> None:
    every = [
        rule
        for content in build.files(slo.load(EVERYTHING)).values()
        for group in yaml.safe_load(content).get("groups", ())
        for rule in group["rules"]
    ]
    recorded = {rule["record"] for rule in every if "record" in rule}
    read = {named.metric for query in _queries(every) for named in selected(parser, query)}

    assert (read & RECORDED) - recorded == set()


def _queries(rules: list[dict[str, Any]]) -> list[str]:
    """List the expressions, and the queries of the texts, which are printed there."""
    texts = " ".join(str(text) for rule in rules for text in rule.get("annotations", {}).values())
    of_texts = [
        re.sub(r"%(?:\[\d\])?[gv]", "1", re.sub(r"%(?:\[\d\])?q", '"x"', query))
        for query in re.findall("printf `([^`]+)`", texts)
    ]
    return [rule["expr"] for rule in rules] + of_texts
