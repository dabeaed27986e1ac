"""What Grafana reads at its start: data sources with fixed uids, and where the dashboards are."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.components import require
from tests.dashboards.shipped import ROOT

from spanmeter_gateway.telemetry import names

PROVISIONING = ROOT / "grafana/provisioning"
COMPOSE = ROOT / "deploy/compose"
SECRET_KEY = re.compile(r"password|token|secret|credential|basicAuth", re.IGNORECASE)
FROM_ELSEWHERE = re.compile(r"\$__file\{.+\}|\$\{.+\}|\$__env\{.+\}")


def read(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


@pytest.fixture
def sources() -> dict[str, Any]:
    listed = read(PROVISIONING / "datasources/spanmeter.yaml")["datasources"]
    return {each["uid"]: each for each in listed}


def test_prometheus_and_tempo_lead_to_each_other(sources: dict[str, Any]) -> None:
    prometheus, tempo = sources["spanmeter-prometheus"], sources["spanmeter-tempo"]

    assert {uid: each["type"] for uid, each in sources.items()} == {
        "spanmeter-prometheus": "prometheus",
        "spanmeter-tempo": "tempo",
    }
    [exemplars] = prometheus["jsonData"]["exemplarTraceIdDestinations"]
    assert (exemplars["name"], exemplars["datasourceUid"]) == ("trace_id", tempo["uid"])
    assert tempo["jsonData"]["tracesToMetrics"]["datasourceUid"] == prometheus["uid"]


def test_the_rate_interval_rests_on_the_scrape_interval(sources: dict[str, Any]) -> None:
    scraped = read(ROOT / "deploy/prometheus/prometheus.yaml")["global"]["scrape_interval"]

    assert sources["spanmeter-prometheus"]["jsonData"]["timeInterval"] == scraped


def test_a_trace_leads_to_metrics_that_exist(sources: dict[str, Any]) -> None:
    back = sources["spanmeter-tempo"]["jsonData"]["tracesToMetrics"]
    queries = [each["query"] for each in back["queries"]]
    used = {name for query in queries for name in re.findall(r"\b(\w+_total)\b", query)}

    assert used
    assert used <= names.METRIC_BY_NAME.keys()
    assert back["tags"] == [{"key": names.FEATURE, "value": names.label(names.FEATURE)}]
    # A single `$` is a variable of Grafana's own environment, and empty.
    assert [query for query in queries if re.search(r"(?<!\$)\$(?!\$)", query)] == []


def test_nobody_changes_what_is_code(sources: dict[str, Any]) -> None:
    [provider] = read(PROVISIONING / "dashboards/spanmeter.yaml")["providers"]

    assert [each["editable"] for each in sources.values()] == [False, False]
    assert (provider["type"], provider["allowUiUpdates"]) == ("file", False)
    assert (provider["folder"], provider["folderUid"]) == ("Spanmeter", "spanmeter")
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards/spanmeter"


def test_no_secret_stands_in_a_file() -> None:
    files = [*PROVISIONING.rglob("*.yaml"), *COMPOSE.glob("*.yaml")]
    found = [
        (file.name, path)
        for file in files
        for path, value in leaves(read(file))
        if SECRET_KEY.search(path) and not FROM_ELSEWHERE.match(str(value))
    ]

    assert len(files) > 6
    assert found == []


def leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """List every value with its dotted path."""
    if isinstance(value, dict):
        return [leaf for key, each in value.items() for leaf in leaves(each, f"{path}.{key}")]
    if isinstance(value, list):
        return [leaf for each in value for leaf in leaves(each, f"{path}[]")]
    return [(path, value)]


def test_the_stack_has_the_same_sources_at_its_own_addresses() -> None:
    shipped = (PROVISIONING / "datasources/spanmeter.yaml").read_text()
    here = read(COMPOSE / "grafana-datasources.yaml")

    moved = shipped.replace("localhost:9090", "prometheus:9090")
    assert here == yaml.safe_load(moved.replace("localhost:3200", "tempo:3200"))


def test_the_stack_has_the_same_prometheus_at_its_own_addresses() -> None:
    shipped = read(ROOT / "deploy/prometheus/prometheus.yaml")
    here = read(COMPOSE / "prometheus.yaml")
    [collector] = [job for job in here["scrape_configs"] if job["job_name"] == "otelcol"]

    shipped["rule_files"] = ["/etc/prometheus/rules/*.yaml"]
    shipped["alerting"]["alertmanagers"][0]["static_configs"] = [{"targets": ["alertmanager:9093"]}]
    shipped["scrape_configs"][0]["static_configs"] = [{"targets": ["gateway:9464"]}]
    shipped["scrape_configs"].append(collector)
    assert here == shipped


def test_prometheus_takes_the_stacks_configuration() -> None:
    done = subprocess.run(
        [require("promtool"), "check", "config", str(COMPOSE / "prometheus.yaml")],
        check=False,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")
