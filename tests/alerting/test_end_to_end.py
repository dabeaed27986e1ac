"""Real gateway, Prometheus, Alertmanager, webhook: who is woken, and who is left in peace.

The rules are those that are shipped, with a second for each minute; the Alertmanager's file is
the shipped one, hurried. One story of about a minute, then what it must have been.
"""

import re
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests import processes
from tests.alerting.shop import (
    FAILING,
    GOOD,
    KEY,
    LEFT,
    MISTAKEN,
    STRANGE,
    Breakdowns,
    Feature,
    Lines,
    at_the_mercy_of,
)
from tests.alertmanager_process import AlertmanagerProcess, hurried
from tests.fakes.replay_provider import ReplayProvider
from tests.fakes.webhook import Notification, Webhook
from tests.gateway.spool.receipts import receipt_line
from tests.gateway.spool.segments import lay
from tests.gateway_process import GatewayProcess
from tests.prometheus_process import PrometheusProcess, Samples

from spanmeter_gateway.alerting import build, series, slo
from spanmeter_gateway.alerting.rule import Clock

HURRIED = Clock(factor=1 / 60)
BEHIND_S = 3
"""A minute would be 1 s, and on a busy machine books may be late by that without any fault."""
JOB = "gateways"
"""Not the one whose `up` the rules ask for: a second stands for a minute here, and on a busy
machine a scrape may be late by that. So it is all series that are missed, as by a Collector."""
PROMISES = """
teams:
  payments: {features: [checkout, "invoices-*"]}
  discovery: {features: [search]}
links: {dashboards: "https://grafana.example.com", playbooks: "https://wiki.example.com/playbooks"}
"""
pytestmark = pytest.mark.timeout(300)  # the story, on a machine that may be busy
BURN = "SpanmeterErrorBudgetBurnFast"
ABSENT = "SpanmeterTelemetryAbsent"
PATIENCE_S = 100.0
RUSH = 600
"""Served calls after which a breakdown of seconds is below what pages."""


@dataclass(frozen=True, slots=True)
class Story:
    """What was told, and what was known."""

    told: list[Notification]
    """Until the gateway was back."""
    support: Samples
    """How the calls often ended of the feature whose callers do everything wrong."""
    held_back: dict[str, Any]
    """A feature's page while the gateway was away, as Alertmanager knows it."""
    exports: Samples
    """Alerts of the feature whose failures came with a backlog."""

    def pages(self, **labels: str) -> list[Notification]:
        """List what the receiver of pages was told of these labels."""
        return [
            each
            for each in self.told
            if each.path == "/platform/page" and labels.items() <= each.labels.items()
        ]


def rules(folder: Path) -> str:
    """Write the rules of the promises above, a second for each minute; return their pattern."""
    (folder / "rules").mkdir()
    promised = folder / "slo.yaml"
    promised.write_text(PROMISES)
    made = build.files(slo.load(promised), HURRIED)
    for path in made.keys() - {build.MANIFEST}:
        content = yaml.safe_load(made[path])
        for rule in [rule for group in content["groups"] for rule in group["rules"]]:
            if rule.get("record") == series.BOOKS_BEHIND:
                rule["expr"] = f"{rule['expr'].rpartition('>')[0]} > {BEHIND_S}"
        (folder / path).write_text(yaml.safe_dump(content))
    return f"{folder}/rules/*.yaml"


class Stage:
    """Everything that runs, ended in the reverse order."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.breakdowns = Breakdowns()
        self.webhook = stack.enter_context(Webhook())
        self.alertmanager = stack.enter_context(AlertmanagerProcess(hurried(self.webhook.url)))
        provider = stack.enter_context(ReplayProvider(scripts=self.breakdowns.scripts))
        self.gateway = stack.enter_context(
            GatewayProcess(
                upstreams={"openai": {"base_url": provider.base_url}},
                settings={"gateway_keys": {"shop": {"env": "SHOP_KEY"}}},
                environ={"SHOP_KEY": KEY},
            )
        )
        tell = {"static_configs": [{"targets": [self.alertmanager.target]}]}
        self.prometheus = stack.enter_context(
            PrometheusProcess(
                {JOB: self.gateway.books_url.removeprefix("http://")},
                scrape_interval="1s",
                settings={"rule_files": [rules(folder)], "alerting": {"alertmanagers": [tell]}},
            )
        )

    def wait(self, status: str, alert: str, *, feature: str = "") -> None:
        """Wait until the webhook was told of an alert."""
        whose = {"spanmeter_feature": feature} if feature else {}
        self.webhook.wait(status, timeout_s=PATIENCE_S, alertname=alert, **whose)

    def feature(self, name: str, *kinds: Lines, pause_s: float) -> Feature:
        """Give the calls of a feature, to be begun."""
        return Feature(self.gateway.url, name, kinds, pause_s=pause_s)


def break_down(stage: Stage) -> None:
    """Let the provider fail a feature until somebody is woken, then serve it well."""
    stage.prometheus.wait(f'{series.fault_ratio("1h")}{{spanmeter_feature="checkout"}}', bool)
    stage.breakdowns.now.add("payments")
    stage.wait("firing", BURN, feature="checkout")
    stage.breakdowns.now.clear()
    with stage.feature("checkout", GOOD, pause_s=0.002) as rush:
        rush.wait_more(RUSH)


def lose_the_gateway(stage: Stage) -> dict[str, Any]:
    """Kill the gateway while a feature fails; return its alert, which is held back then."""
    stage.wait("firing", BURN, feature="invoices-eu")
    stage.gateway.kill()
    found: list[dict[str, Any]] = []

    def is_held_back() -> bool:
        found[:] = [
            each
            for each in stage.alertmanager.alerts()
            if each["labels"].get("spanmeter_feature") == "invoices-eu"
            and each["labels"]["alertname"] == BURN
        ]
        return [each["status"]["state"] for each in found] == ["suppressed"]

    processes.wait_until(is_held_back, timeout_s=PATIENCE_S)
    stage.wait("firing", ABSENT)
    return found[0]


def fall_behind(stage: Stage, aside: Path) -> Samples:
    """Let books enter failures of minutes ago at one moment; return the alerts of their feature."""
    spool = stage.gateway.data_dir / "spool"
    first, rest = (lay_failures(aside, sequence, count) for sequence, count in ((1, 1), (2, 100)))
    failures = 'spanmeter_calls_total{spanmeter_feature="exports",error_type="503"}'
    with stage.feature("exports", GOOD, pause_s=0.05) as exports:
        # A series that begins with the backlog would show no rate, however wrong.
        first.rename(spool / first.name)
        stage.prometheus.wait(failures, lambda now: now and now[0].value == 1)
        with processes.frozen(processes.books(stage.gateway)):
            rest.rename(spool / rest.name)
            exports.wait_more(10)
        stage.prometheus.wait(failures, lambda now: now and now[0].value == 101)
        stage.prometheus.wait_scrapes(6, job=JOB)
        return stage.prometheus.query(
            f'count_over_time(ALERTS{{alertname="{BURN}",spanmeter_feature="exports"}}[1h])'
        )


def lay_failures(aside: Path, sequence: int, count: int) -> Path:
    """Write receipts of calls that failed two minutes ago, as a relay leaves them to the books."""
    ago_ns = time.time_ns() - 120 * 10**9
    failed = {"feature": "exports", "outcome": "provider_error", "error_type": "503"}
    lines = [
        receipt_line(f"{sequence:04x}{number:04x}", started_at_ns=ago_ns, **failed)
        for number in range(count)
    ]
    return lay(aside, lines, sequence=sequence, written_at_ns=ago_ns)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("story")
    with ExitStack() as stack:
        stage = Stage(stack, folder)
        stack.enter_context(stage.feature("checkout", at_the_mercy_of("payments"), pause_s=0.1))
        stack.enter_context(stage.feature("search", GOOD, pause_s=0.1))
        wrong = (GOOD, MISTAKEN, STRANGE, LEFT)
        stack.enter_context(stage.feature("support", *wrong, pause_s=0.05))
        break_down(stage)
        with stage.feature("invoices-eu", FAILING, pause_s=0.1):
            stage.wait("resolved", BURN, feature="checkout")
            support = stage.prometheus.query(
                "sum by (spanmeter_outcome)"
                ' (spanmeter_calls_total{spanmeter_feature="support"}) > 10'
            )
            held_back = lose_the_gateway(stage)
        stage.gateway.start()
        stage.wait("resolved", ABSENT)
        told = list(stage.webhook.received)
        return Story(told, support, held_back, fall_behind(stage, folder))


def test_a_feature_whose_provider_fails_pages_once_and_its_recovery_is_told_once(
    story: Story,
) -> None:
    assert [(each.status, each.labels) for each in story.pages(spanmeter_feature="checkout")] == [
        (
            status,
            {
                "alertname": BURN,
                "severity": "page",
                "spanmeter_feature": "checkout",
                "team": "payments",
            },
        )
        for status in ("firing", "resolved")
    ]


def test_a_page_says_how_much_fails_and_where_to_look(story: Story) -> None:
    [alert] = story.pages(spanmeter_feature="checkout")[0].payload["alerts"]
    told = alert["annotations"]

    assert re.fullmatch(r"checkout: [0-9.]+% of the calls fail", told["summary"])
    assert re.match(r"[0-9.]+% of its calls .* 1% may", told["description"])
    assert told["runbook_url"] == f"https://wiki.example.com/playbooks#{BURN.lower()}"
    assert told["dashboard_url"] == (
        "https://grafana.example.com/d/spanmeter-slo?var-feature=checkout"
    )


def test_a_feature_that_is_served_stays_quiet_beside_one_that_is_not(story: Story) -> None:
    assert [each for each in story.told if each.labels.get("spanmeter_feature") == "search"] == []


def test_mistakes_denials_and_calls_that_are_left_wake_nobody(story: Story) -> None:
    often = {sample.labels["spanmeter_outcome"] for sample in story.support}

    assert often == {"ok", "caller_error", "policy_denied", "cancelled"}
    assert story.pages(spanmeter_feature="support") == []


def test_a_gateway_that_is_gone_wakes_its_own_team_once(story: Story) -> None:
    assert [(each.status, each.labels["team"]) for each in story.pages(alertname=ABSENT)] == [
        ("firing", "platform"),
        ("resolved", "platform"),
    ]


def test_what_is_known_of_features_is_held_back_while_the_gateway_is_gone(story: Story) -> None:
    firing = [each.status for each in story.pages(spanmeter_feature="invoices-eu")]

    assert story.held_back["labels"]["team"] == "payments"
    assert len(story.held_back["status"]["inhibitedBy"]) == 1
    assert firing == ["firing"]


def test_failures_that_come_with_a_backlog_wake_nobody(story: Story) -> None:
    assert story.exports == []
