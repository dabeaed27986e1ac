"""OpenTelemetry's auto-instrumentation finds ours, which does what the environment says."""

import os
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.in_app.servers.arrivals import Arrivals

import spanmeter

GROUP = "opentelemetry_instrumentor"
PROJECT = Path(__file__).parents[3] / "instrumentation/pyproject.toml"
CALL = """
import sys
import httpx2
body = {"model": sys.argv[2], "messages": []}
httpx2.post(sys.argv[1] + "/v1/chat/completions", json=body, headers={"x-script": "chat"})
"""


def ask(arrivals: Arrivals, model: str) -> None:
    body = {"model": model, "messages": []}
    url = f"{arrivals.url}/v1/chat/completions"
    httpx2.post(url, json=body, headers={"x-script": "chat"}).raise_for_status()


def instrumentor() -> Any:
    (found,) = [each for each in entry_points(group=GROUP) if each.name == "spanmeter"]
    return found.load()()


def test_the_installed_entry_point_is_the_declared_one() -> None:
    declared = tomllib.loads(PROJECT.read_text())["project"]["entry-points"][GROUP]

    assert {
        each.name: each.value for each in entry_points(group=GROUP) if each.name == "spanmeter"
    } == declared


def test_it_instruments_as_the_environment_says_and_undoes_it(
    arrivals: Arrivals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPANMETER_GATEWAY", arrivals.url)
    monkeypatch.setenv("SPANMETER_FEATURE", "automatic")

    instrumentor().instrument(skip_dep_check=True)
    ask(arrivals, "otel-on")
    instrumentor().uninstrument()
    spanmeter.set_default()
    ask(arrivals, "otel-off")

    assert arrivals.of("otel-on") == ["automatic", None, {}]
    assert arrivals.of("otel-off") == ["untagged", None, {}]


def test_without_any_variable_it_leaves_to_the_application_what_it_does(
    arrivals: Arrivals, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("SPANMETER_GATEWAY", raising=False)
    spanmeter.instrument(arrivals.url, feature="by-code")

    instrumentor().instrument()
    ask(arrivals, "otel-by-code")
    instrumentor().uninstrument()
    spanmeter.set_default()

    assert arrivals.of("otel-by-code")[0] == "by-code"
    assert caplog.records == []


def test_opentelemetrys_own_command_runs_it(arrivals: Arrivals, tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(CALL)
    exporters = dict.fromkeys(("TRACES", "METRICS", "LOGS"), "none")
    environ = {name: text for name, text in os.environ.items() if not name.startswith("OTEL_")}
    environ |= {f"OTEL_{signal}_EXPORTER": none for signal, none in exporters.items()}
    environ |= {"SPANMETER_GATEWAY": arrivals.url, "SPANMETER_FEATURE": "found"}
    command = Path(sys.executable).with_name("opentelemetry-instrument")

    ended = subprocess.run(
        [command, sys.executable, app, arrivals.url, "otel-command"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    assert arrivals.of("otel-command") == ["found", None, {}]
