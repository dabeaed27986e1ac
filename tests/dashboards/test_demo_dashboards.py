"""`spanmeter demo` with Prometheus on the PATH: the dashboards live, no key needed."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from tests.components import require
from tests.dashboards import contract, recorded, shipped
from tests.dashboards.answers import Answer, ask_all, question
from tests.dashboards.grafana_queries import Choice, Window
from tests.dashboards.shipped import Target
from tests.processes import wait_until
from tests.prometheus_process import PrometheusProcess

from spanmeter_gateway.demo.beside import SCRAPE_INTERVAL
from spanmeter_gateway.telemetry import names

SCRAPE_S = int(SCRAPE_INTERVAL.removesuffix("s"))
RANGE_S = 300
FEATURE = "support-chat"
FILLED_S = 60.0
START_S = 90.0
"""Provider, gateway and Prometheus, one after the other, on a busy machine."""
NEEDS_TIME = re.compile(r"\boffset\b|\bALERTS\b")
RECORDED = re.compile("|".join(map(re.escape, recorded.names())))
NOT_IN_THE_DEMO: Mapping[str, str] = {
    "Who pays for calls without a feature? / A": "few calls are untagged",
    "Which calls have no known cost, and what to do? / A": "every model has a price",
    "Do spans arrive? / A": "nothing goes out over OTLP",
    "Do exports of metrics arrive? / A": "nothing goes out over OTLP",
    "Which queue of spans fills? / A": "nothing goes out over OTLP",
}
"""By panel and query: what the made-up product does not do."""


class Demo(PrometheusProcess):
    """The demonstration's own Prometheus, to be asked as any other."""

    def __init__(self, folder: Path) -> None:
        program = require("prometheus")
        super().__init__({})
        self._argv = [sys.executable, "-m", "spanmeter_gateway.cli", "demo", "--data-dir", folder]
        self._path = str(program.parent)
        self.said = self.folder / "stdout.txt"

    def start(self) -> None:
        """Start it and wait until it names the address."""
        with self.said.open("wb") as out, (self.folder / "log.txt").open("wb") as log:
            self._process = subprocess.Popen(
                self._argv, stdout=out, stderr=log, env={**os.environ, "PATH": self._path}
            )
        address = re.compile(r"Prometheus is (\S+),")
        wait_until(lambda: address.search(self.said.read_text()), timeout_s=START_S)
        self.url = address.findall(self.said.read_text())[0]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with Demo(tmp_path_factory.mktemp("demo")) as running:
        yield running


@pytest.fixture(scope="module")
def shown(demo: Demo) -> Demo:
    """Wait until calls of the feature that streams were served, failed and were cancelled."""
    calls = f'{names.CALLS.prometheus_name}{{spanmeter_feature="{FEATURE}"}}'
    outcomes = f"count(count by (spanmeter_outcome) (increase({calls}[1m]) > 0))"
    demo.wait(outcomes, lambda found: found and found[0].value >= 3, timeout_s=90)
    demo.wait_scrapes(2, job="spanmeter")
    return demo


def test_prometheus_has_the_demonstrations_calls_and_the_rules(shown: Demo) -> None:
    groups = shown.get("/api/v1/rules")["groups"]
    features = {row.labels["spanmeter_feature"] for row in shown.query(names.CALLS.prometheus_name)}

    assert {"checkout-assistant", "support-chat", "untagged"} <= features
    assert {rule["name"] for group in groups for rule in group["rules"]} >= {*recorded.names()[:5]}
    assert [rule for group in groups for rule in group["rules"] if rule["health"] == "err"] == []


@pytest.mark.parametrize("uid", shipped.UIDS)
def test_a_dashboard_shows_the_demonstration(shown: Demo, uid: str) -> None:
    # Some of the demonstration's calls are rare: their panels fill within the first minutes.
    with suppress(TimeoutError):
        wait_until(lambda: not _wrong(_answers(shown, uid)), timeout_s=FILLED_S)

    answers = _answers(shown, uid)

    assert _wrong(answers) == []
    assert any(each.series for each in answers)


def _answers(shown: Demo, uid: str) -> list[Answer]:
    dashboard = shipped.load(uid)
    choices = dict(shipped.at_all(dashboard))
    if "feature" not in choices:
        choices["feature"] = Choice((FEATURE,), None, is_many=False)
    window = Window(until_s=int(time.time()), range_s=RANGE_S, scrape_s=SCRAPE_S)
    targets = shipped.everything(dashboard)
    return ask_all(shown.url, [question(target, choices, window) for target in targets])


def _wrong(answers: Iterable[Answer]) -> list[tuple[str, str]]:
    """Name what failed, and what is empty and should not be."""
    return [
        (each.question.target.place, each.problem or "empty")
        for each in answers
        if each.problem or not (each.series or _may_be_empty(each.question.target))
    ]


def _may_be_empty(target: Target) -> bool:
    return bool(
        NEEDS_TIME.search(target.expr)
        or RECORDED.search(target.expr)
        or "otelcol_" in target.expr
        or target.place in NOT_IN_THE_DEMO
    )


def test_recorded_series_have_the_labels_that_dashboards_count_on(shown: Demo) -> None:
    # Each group of rules has its own moment in the first two minutes.
    recorded_names = 'count(count by (__name__) ({__name__=~".+:.+"}))'
    shown.wait(recorded_names, lambda found: found and found[0].value > 10, timeout_s=130)
    there = shown.query('{__name__=~".+:.+"}')

    wrong = {
        (name, label)
        for labels, _ in there
        for name in [labels["__name__"]]
        for label in labels
        if label not in {*contract.labels_of(name), "__name__"}
    }
    assert wrong == set()
