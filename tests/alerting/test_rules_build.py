"""`spanmeter rules build`: the files that it writes, and those that it leaves alone."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.components import require

from spanmeter_gateway.alerting import build, slo
from spanmeter_gateway.alerting.rule import Clock
from spanmeter_gateway.alerting.slo import Slo
from spanmeter_gateway.errors import ConfigError

EVERYTHING = Path(__file__).parent / "everything.yaml"


def spanmeter(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "spanmeter_gateway.cli", "rules", "build", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_committed_rules_are_those_of_the_committed_promises() -> None:
    folder = Path("grafana")

    assert build.stale(folder, build.files(slo.load(folder / "slo.yaml"))) == []


def test_it_tells_what_it_wrote_and_then_that_nothing_changed(tmp_path: Path) -> None:
    (tmp_path / "slo.yaml").write_text("objective: 99.9\n")
    paths = sorted(build.files(Slo()))

    first = spanmeter(tmp_path, "--slo", "slo.yaml")
    second = spanmeter(tmp_path, "--slo", "slo.yaml")

    assert sorted(_first_words(first.stdout, "changed")) == paths
    assert (second.returncode, _first_words(second.stdout, "changed")) == (0, [])
    assert sorted(_first_words(second.stdout, "")) == ["file", *paths]


def test_check_writes_nothing_and_fails_with_the_command_to_run(tmp_path: Path) -> None:
    (tmp_path / "slo.yaml").write_text("")

    ended = spanmeter(tmp_path, "--slo", "slo.yaml", "--check")

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("spanmeter: stale: rules/features.yaml, rules/")
    assert ended.stderr.endswith("; run spanmeter rules build --slo slo.yaml\n")
    assert [path.name for path in tmp_path.iterdir()] == ["slo.yaml"]


def test_without_a_file_it_says_how_to_begin(tmp_path: Path) -> None:
    ended = spanmeter(tmp_path)

    assert (ended.returncode, ended.stdout, ended.stderr) == (
        2,
        "",
        "grafana/slo.yaml: is not there: name it with --slo, or make an empty one, "
        "for all keys have defaults\n",
    )


def test_a_rule_file_that_is_no_longer_made_is_deleted_and_others_stay(tmp_path: Path) -> None:
    content = build.files(Slo())
    build.write(tmp_path, content)
    (tmp_path / "rules/mine.yaml").write_text("groups: []\n")
    left = {path: text for path, text in content.items() if path != "rules/callers.yaml"}

    changed = build.write(tmp_path, left)

    assert changed == ["rules/callers.yaml"]
    assert {f"rules/{path.name}" for path in (tmp_path / "rules").iterdir()} == {
        "rules/mine.yaml", *(path for path in left if path != build.MANIFEST)
    }  # fmt: skip


@pytest.mark.parametrize("mine", [b"groups: []\n", b"\xff\xfe not text"])
def test_a_file_of_somebody_else_is_never_written_over(tmp_path: Path, mine: bytes) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/features.yaml").write_bytes(mine)

    with pytest.raises(ConfigError) as raised:
        build.write(tmp_path, build.files(Slo()))

    assert str(raised.value) == (
        f"{tmp_path / 'rules/features.yaml'}: was not generated: move it, or rules of that name "
        "cannot be written"
    )
    assert (tmp_path / "rules/features.yaml").read_bytes() == mine
    assert not (tmp_path / build.MANIFEST).exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "rules").write_text("")

    with pytest.raises(ConfigError, match=r"rules/features\.yaml: cannot be written: "):
        build.write(tmp_path, build.files(Slo()))


@pytest.mark.parametrize(
    ("promises", "clock"),
    [(Slo(), Clock()), (slo.load(EVERYTHING), Clock()), (Slo(), Clock(factor=1 / 60))],
    ids=["default", "everything", "hurried"],
)
def test_promtool_finds_nothing_to_complain_about(
    tmp_path: Path, promises: Slo, clock: Clock
) -> None:
    content = build.files(promises, clock)
    build.write(tmp_path, content)
    paths = [path for path in content if path != build.MANIFEST]

    done = subprocess.run(
        [require("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *paths],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stdout.count("SUCCESS")) == (0, len(paths)), done.stderr


def test_every_alert_has_all_that_a_reader_needs() -> None:
    alerts = [rule for rule in _rules() if "alert" in rule]
    told = {"summary", "description", "runbook_url", "dashboard_url"}

    assert {frozenset(alert["annotations"]) for alert in alerts} == {frozenset(told)}
    assert {alert["labels"]["severity"] for alert in alerts} <= {
        "page", "ticket", "none", "warning", "high", "critical", "{{ $labels.level }}",
    }  # fmt: skip
    assert [alert["alert"] for alert in alerts if not alert["alert"].startswith("Spanmeter")] == []


def test_the_manifest_holds_the_groups_of_all_files() -> None:
    content = {path: yaml.safe_load(text) for path, text in build.files(Slo()).items()}
    manifest = content.pop(build.MANIFEST)

    assert manifest["spec"]["groups"] == [
        group for document in content.values() for group in document["groups"]
    ]


def test_the_manifest_has_the_shape_that_the_operator_takes() -> None:
    # Source: prometheus-operator, API reference, monitoring.coreos.com/v1: PrometheusRule,
    # RuleGroup (name, interval of pattern Duration, rules), Rule; a rule is either of the two.
    manifest = yaml.safe_load(build.files(slo.load(EVERYTHING))[build.MANIFEST])
    groups = manifest["spec"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]

    assert {key: value for key, value in manifest.items() if key != "spec"} == {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "spanmeter", "labels": {"app.kubernetes.io/name": "spanmeter"}},
    }
    assert len({group["name"] for group in groups}) == len(groups)
    assert [group for group in groups if set(group) - {"name", "interval", "rules"}] == []
    assert [rule for rule in rules if not _is_a_rule(rule)] == []
    durations = [group["interval"] for group in groups] + [
        rule[key] for rule in rules for key in ("for", "keep_firing_for") if key in rule
    ]
    assert [each for each in durations if not _DURATION.fullmatch(each)] == []


# The pattern of its type Duration.
_DURATION = re.compile(
    r"(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)"
)


def _is_a_rule(rule: dict[str, Any]) -> bool:
    record = {"record", "expr"}
    alert = {"alert", "expr", "labels", "annotations"}
    texts = [*rule.get("labels", {}).values(), *rule.get("annotations", {}).values(), rule["expr"]]
    return all(isinstance(text, str) for text in texts) and (
        record <= set(rule) <= record | {"labels"}
        or alert <= set(rule) <= alert | {"for", "keep_firing_for"}
    )


def _rules() -> list[dict[str, Any]]:
    manifest = yaml.safe_load(build.files(slo.load(EVERYTHING))[build.MANIFEST])
    return [rule for group in manifest["spec"]["groups"] for rule in group["rules"]]


def _first_words(table: str, ending: str) -> list[str]:
    lines = [line.rstrip() for line in table.splitlines()]
    return [line.split()[0] for line in lines if line.endswith(ending)]
