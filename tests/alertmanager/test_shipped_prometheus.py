"""Prometheus' shipped configuration: accepted with the rules, one way to each gateway."""

import subprocess
from pathlib import Path
from typing import Any

import yaml
from tests.alertmanager_process import switched_on
from tests.components import require

from spanmeter_gateway.alerting.slo import Slo

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "deploy" / "prometheus" / "prometheus.yaml"
DIRECT = '  - job_name: spanmeter\n    static_configs: [{targets: ["127.0.0.1:9464"]}]'


def check(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Let promtool check a variant of the file, with the shipped rules."""
    (folder / "books-token").touch()
    file = folder / "prometheus.yaml"
    file.write_text(text.replace("../../grafana", str(ROOT / "grafana")))
    return subprocess.run(
        [require("promtool"), "check", "config", file],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def jobs(text: str) -> dict[str, Any]:
    return {each["job_name"]: each for each in yaml.safe_load(text)["scrape_configs"]}


def test_the_shipped_file_is_accepted_where_it_stands() -> None:
    checked = subprocess.run(
        [require("promtool"), "check", "config", SHIPPED],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    shipped = list((ROOT / "grafana" / "rules").glob("*.yaml"))
    assert checked.returncode == 0, checked.stderr
    assert f"SUCCESS: {len(shipped)} rule files found" in checked.stdout


def test_it_reads_the_books_directly_under_the_name_that_the_rules_ask_for() -> None:
    assert jobs(SHIPPED.read_text()).keys() == {Slo().job}


def test_both_ways_at_once_are_refused(tmp_path: Path) -> None:
    refused = check(switched_on(SHIPPED.read_text()), tmp_path)

    assert refused.returncode == 1
    assert 'multiple scrape configs with job name "spanmeter"' in refused.stderr


def test_the_way_through_a_collector_is_accepted_instead(tmp_path: Path) -> None:
    everything = switched_on(SHIPPED.read_text())
    begin, end = everything.index(DIRECT), everything.index("  # Where gateways only push")
    through = everything[:begin] + everything[end:]

    checked = check(through, tmp_path)

    assert checked.returncode == 0, checked.stderr
    assert jobs(through).keys() == {Slo().job, "otelcol"}
    assert jobs(through)[Slo().job]["honor_labels"] is True
