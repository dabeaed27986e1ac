"""The shipped file as it is, and with all that it has switched off: accepted, and who is told."""

import subprocess
from pathlib import Path

import pytest
import yaml
from tests.alertmanager_process import CONFIG, FOLDER, AlertmanagerProcess, switched_on
from tests.components import require


def amtool(*arguments: str) -> str:
    done = subprocess.run(
        [require("amtool"), *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the file with all blocks switched on, none of whose secrets is there."""
    folder = tmp_path_factory.mktemp("alertmanager")
    (folder / "spanmeter.tmpl").write_text((FOLDER / "spanmeter.tmpl").read_text())
    file = folder / "alertmanager.yaml"
    file.write_text(switched_on(CONFIG.read_text()))
    return file


def test_the_shipped_file_is_accepted() -> None:
    assert "FAILED" not in amtool("check-config", str(CONFIG))


def test_it_is_accepted_with_everything_switched_on(everything: Path) -> None:
    checked = amtool("check-config", str(everything))

    assert "FAILED" not in checked
    assert yaml.safe_load(everything.read_text()).keys() == {
        "global", "inhibit_rules", "receivers", "route", "templates",
    }  # fmt: skip


def test_what_is_switched_off_tells_by_slack_e_mail_and_webhook(everything: Path) -> None:
    receivers = yaml.safe_load(everything.read_text())["receivers"]

    assert {kind for each in receivers for kind in each if kind != "name"} == {
        "email_configs", "pagerduty_configs", "slack_configs", "webhook_configs",
    }  # fmt: skip


def test_no_secret_stands_in_it(everything: Path) -> None:
    inline = ("api_url", "auth_password", "credentials", "password", "routing_key", "service_key")

    found = [key for key in inline if f"{key}:" in everything.read_text()]

    assert found == []


def test_it_starts_as_it_is_shipped() -> None:
    with AlertmanagerProcess() as alertmanager:
        errors = alertmanager.errors

    assert "level=error" not in errors
    assert "level=warn" not in errors


FAST = "alertname=SpanmeterErrorBudgetBurnFast severity=page"
SLOW = "alertname=SpanmeterErrorBudgetBurnSlow severity=ticket"
ANOMALY = "alertname=SpanmeterAnomaly anomaly=cost"
CHECKOUT = "spanmeter_feature=checkout team=payments"
ROUTES = [
    (f"{FAST} spanmeter_feature=search team=platform", "platform-page", "platform-page"),
    (f"{SLOW} spanmeter_feature=search team=platform", "platform-ticket", "platform-ticket"),
    (f"{FAST} {CHECKOUT}", "platform-page", "payments-page"),
    (f"{SLOW} {CHECKOUT}", "platform-ticket", "payments-ticket"),
    (f"{ANOMALY} severity=warning {CHECKOUT}", "platform-anomaly", "payments-ticket"),
    (f"{ANOMALY} severity=high {CHECKOUT}", "platform-anomaly", "payments-ticket"),
    (f"{ANOMALY} severity=critical {CHECKOUT}", "platform-anomaly", "payments-ticket"),
    (f"{ANOMALY} severity=high scope=all team=platform", "platform-anomaly", "platform-anomaly"),
    ("alertname=SpanmeterTelemetryAbsent severity=page team=platform",
     "platform-page", "platform-page"),
    ("alertname=SpanmeterBooksBehind severity=ticket team=platform",
     "platform-ticket", "platform-ticket"),
    (f"{FAST} spanmeter_feature=x team=nobody-knows", "platform-page", "platform-page"),
    ("alertname=SomethingElse", "platform-ticket", "platform-ticket"),
    ("alertname=SpanmeterWatchdog severity=none team=platform", "watchdog", "watchdog"),
    ("alertname=SpanmeterWatchdog severity=none team=payments", "watchdog", "watchdog"),
]  # fmt: skip
"""Labels of an alert, who is told as shipped, and who with the block of a team switched on."""


@pytest.mark.parametrize(("labels", "shipped", "with_a_team"), ROUTES)
def test_an_alert_is_told_to_its_team_by_severity(
    everything: Path, *, labels: str, shipped: str, with_a_team: str
) -> None:
    told = [
        amtool("config", "routes", "test", f"--config.file={file}", *labels.split())
        for file in (CONFIG, everything)
    ]

    assert told == [shipped, with_a_team]
