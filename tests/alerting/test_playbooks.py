"""Every alert has its playbook, and what stands there runs."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from tests.prometheus_process import PrometheusProcess
from tests.rule_parser import grouped, is_known, labels, parsed, selected

from spanmeter_gateway.alerting import build, slo
from spanmeter_gateway.alerting.rule import Alert

PAGE = Path(__file__).resolve().parents[2] / "grafana" / "playbooks.md"
EVERYTHING = slo.load(Path(__file__).parent / "everything.yaml")
CHECK = re.compile(r"^(\d)\. \S", re.MULTILINE)
BLOCK = re.compile(r"^ *```promql\n(.+?)^ *```$", re.MULTILINE | re.DOTALL)
OF_ANY_SERIES = frozenset({"__name__", "team"})


def _sections() -> dict[str, str]:
    parts = re.split(r"^## (.+)$", PAGE.read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _alerts() -> list[Alert]:
    return [
        rule
        for groups in build.groups(EVERYTHING).values()
        for group in groups
        for rule in group.rules
        if isinstance(rule, Alert)
    ]


SECTIONS = _sections()
QUERIES = [
    pytest.param(query, id=f"{name}-{place}")
    for name, section in SECTIONS.items()
    for place, query in enumerate(BLOCK.findall(section), start=1)
]


@pytest.fixture(scope="module")
def parser() -> Iterator[PrometheusProcess]:
    with PrometheusProcess({}, program="prometheus3", scrape_interval="1m") as prometheus:
        yield prometheus


def test_every_alert_has_a_section_and_every_section_an_alert() -> None:
    assert sorted(SECTIONS) == sorted({alert.alert for alert in _alerts()})


def test_the_link_of_an_alert_is_the_anchor_that_its_heading_gets() -> None:
    # GitHub lower-cases a heading, drops what is no letter, digit, space, - or _, and writes - for
    # spaces.
    anchors = {re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-") for name in SECTIONS}
    links = {
        annotation.rpartition("#")[2]
        for annotation in re.findall(r"runbook_url: (\S+)", build.files(EVERYTHING)[build.MANIFEST])
    }

    assert links == anchors


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_says_what_it_means_what_to_check_how_to_silence_and_how_to_tune(
    name: str,
) -> None:
    section = SECTIONS[name]
    parts = ["\n\n", "\nFirst checks", "\n\nSilence: ", "\n\nTune: "]

    places = [section.find(part) for part in parts]
    assert min(places) >= 0, f"missing one of {parts}"
    assert all(first < second for first, second in pairwise(places))
    checks = section[places[1] : places[2]]
    assert CHECK.findall(checks) == ["1", "2", "3"]
    assert BLOCK.search(checks) is not None
    assert f"alertname={name}" in section[places[2] : places[3]]


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_parses_and_names_only_what_exists(parser: PrometheusProcess, query: str) -> None:
    asked = list(selected(parser, query))

    assert asked != []
    assert [named.metric for named in asked if not is_known(named.metric)] == []
    assert [each for each in asked if each.labels - labels(each.metric) - OF_ANY_SERIES] == []
    known = {name for each in asked for name in labels(each.metric)}
    assert set(grouped(parsed(parser, query))) - known == set()


@pytest.mark.parametrize("name", SECTIONS)
def test_what_a_section_says_of_slo_yaml_and_of_constants_exists(name: str) -> None:
    folder = Path(build.__file__).parent
    constants = re.findall(r"`([A-Z][A-Z_]+)`", SECTIONS[name])
    code = "\n".join(file.read_text() for file in folder.glob("*.py"))

    assert [each for each in constants if not re.search(rf"^{each} =", code, re.MULTILINE)] == []
