"""The shipped texts, rendered by amtool, for a usual feature and for one named by an attacker."""

import json
import shlex
import subprocess
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.alertmanager_process import (
    CONFIG,
    FOLDER,
    AlertmanagerProcess,
    hurried,
    switched_on,
)
from tests.components import require
from tests.fakes.webhook import Webhook
from tests.processes import wait_until

USUAL = "checkout"
BURN = "SpanmeterErrorBudgetBurnFast"
HOSTILE = """<!channel> it's "$(reboot)" & `co` | \\ +1%"""
ESCAPED = """&lt;!channel&gt; it's "$(reboot)" &amp; `co` | \\ +1%"""


def notification(feature: str) -> dict[str, Any]:
    labels = {
        "alertname": BURN, "severity": "page", "team": "payments",
        "spanmeter_feature": feature,
    }  # fmt: skip
    annotations = {
        "summary": f"{feature}: 50% of calls fail",
        "description": "100 of 200 calls failed, 1% may.",
        "runbook_url": "https://wiki/playbooks#spanmetererrorbudgetburnfast",
        "dashboard_url": f"https://grafana/d/x?var-feature={urllib.parse.quote_plus(feature)}&a=b",
    }
    alert = {
        "status": "firing", "labels": labels, "annotations": annotations,
        "startsAt": "2026-11-03T10:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "1",
    }  # fmt: skip
    return {
        "receiver": "platform-page", "status": "firing", "alerts": [alert],
        "groupLabels": {key: labels[key] for key in ("alertname", "spanmeter_feature", "team")},
        "commonLabels": labels, "commonAnnotations": annotations,
        "externalURL": "https://alerts.example.com",
    }  # fmt: skip


def rendered(tmp_path: Path, template: str, content: dict[str, Any]) -> str:
    file = tmp_path / "notification.json"
    file.write_text(json.dumps(content))
    done = subprocess.run(
        [
            *(require("amtool"), "template", "render"),
            f"--template.glob={FOLDER / 'spanmeter.tmpl'}",
            f'--template.text={{{{ template "spanmeter.{template}" . }}}}',
            f"--template.data={file}",
        ],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout


@pytest.fixture
def slack() -> Iterator[Webhook]:
    with Webhook() as running:
        yield running


def silence_filter(text: str) -> str:
    [encoded] = {line.partition("filter=")[2].partition("|")[0] for line in text.split("\n")} - {""}
    return urllib.parse.unquote(encoded)


def test_a_title_names_alert_feature_team_and_severity(tmp_path: Path) -> None:
    title = rendered(tmp_path, "title", notification(USUAL))

    assert title == "[FIRING] SpanmeterErrorBudgetBurnFast checkout (payments, page)"


def test_a_title_of_an_anomaly_names_its_kind(tmp_path: Path) -> None:
    labels = {"alertname": "SpanmeterAnomaly", "anomaly": "cost", "severity": "high"}
    content = notification(USUAL) | {"status": "resolved", "commonLabels": labels}

    assert rendered(tmp_path, "title", content) == "[RESOLVED] SpanmeterAnomaly cost (high)"


def test_a_mail_says_everything_that_is_needed(tmp_path: Path) -> None:
    text = rendered(tmp_path, "text", notification(USUAL))

    assert text == (
        "FIRING: checkout: 50% of calls fail\n"
        "\n"
        "100 of 200 calls failed, 1% may.\n"
        "\n"
        "Feature:   checkout\n"
        "Team:      payments\n"
        "Severity:  page\n"
        "Since:     2026-11-03 10:00:00 UTC\n"
        "Playbook:  https://wiki/playbooks#spanmetererrorbudgetburnfast\n"
        "Dashboard: https://grafana/d/x?var-feature=checkout&a=b\n"
        "\n"
        "Silence:   https://alerts.example.com/#/silences/new?filter=%7Balertname%3D%22"
        "SpanmeterErrorBudgetBurnFast%22%2C%20spanmeter_feature%3D%22checkout%22%2C%20"
        "team%3D%22payments%22%7D\n"
        "or:        amtool silence add --alertmanager.url='https://alerts.example.com'"
        " --duration=2h --comment='why' 'alertname=\"SpanmeterErrorBudgetBurnFast\"'"
        " 'spanmeter_feature=\"checkout\"' 'team=\"payments\"'"
    )


def test_slack_gets_links(tmp_path: Path) -> None:
    text = rendered(tmp_path, "slack.text", notification(USUAL))

    assert text.split("\n")[:3] == [
        "*checkout: 50% of calls fail*",
        "100 of 200 calls failed, 1% may.",
        "<https://wiki/playbooks#spanmetererrorbudgetburnfast|Playbook>"
        " | <https://grafana/d/x?var-feature=checkout&amp;a=b|Dashboard>",
    ]


@pytest.mark.parametrize("template", ["slack.title", "slack.text"])
def test_a_feature_cannot_call_a_channel_together(tmp_path: Path, template: str) -> None:
    text = rendered(tmp_path, template, notification(HOSTILE))

    assert "&lt;!channel&gt;" in text
    assert "<!" not in text


def test_a_feature_cannot_add_to_the_command_that_somebody_copies(tmp_path: Path) -> None:
    text = rendered(tmp_path, "text", notification(HOSTILE))
    command = shlex.split(text.rpartition("or:")[2])

    assert command == [
        "amtool", "silence", "add", "--alertmanager.url=https://alerts.example.com",
        "--duration=2h", "--comment=why", 'alertname="SpanmeterErrorBudgetBurnFast"',
        'spanmeter_feature="' + HOSTILE.replace("\\", "\\\\").replace('"', '\\"') + '"',
        'team="payments"',
    ]  # fmt: skip


@pytest.mark.parametrize("template", ["text", "slack.text"])
def test_the_link_to_a_silence_names_exactly_this_feature(tmp_path: Path, template: str) -> None:
    link = silence_filter(rendered(tmp_path, template, notification(HOSTILE)))

    assert link == (
        '{alertname="SpanmeterErrorBudgetBurnFast", spanmeter_feature="'
        + HOSTILE.replace("\\", "\\\\").replace('"', '\\"')
        + '", team="payments"}'
    )


def test_slack_is_one_uncomment_and_one_secret_away(slack: Webhook, tmp_path: Path) -> None:
    config = hurried(slack.url, switched_on(CONFIG.read_text()))
    secret = tmp_path / "slack-webhook-url"
    secret.write_text(f"{slack.url}/slack\n")
    config["global"]["slack_api_url_file"] = str(secret)
    with AlertmanagerProcess(config) as alertmanager:
        alertmanager.post([notification(HOSTILE)["commonLabels"] | {"team": "platform"}])
        wait_until(lambda: [each for each in slack.received if each.path == "/slack"])

    [sent] = [each.payload for each in slack.received if each.path == "/slack"]
    assert sent["channel"] == "#platform-pages"
    assert sent["attachments"][0]["title"] == f"[FIRING] {BURN} {ESCAPED} (platform, page)"
