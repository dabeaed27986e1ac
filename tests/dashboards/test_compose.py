"""The stack of deploy/compose, as far as it can be told without an engine.

Source of the keys: the Compose specification, "Services top-level elements".
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.dashboards.shipped import ROOT

FOLDER = ROOT / "deploy/compose"
STACK = frozenset({"gateway", "collector", "prometheus", "alertmanager", "tempo", "grafana"})
DEMO = frozenset({"demo-provider", "demo-traffic"})
TOP_KEYS = frozenset({"name", "services", "networks", "volumes"})
SERVICE_KEYS = frozenset(
    {"image", "build", "command", "environment", "volumes", "tmpfs", "ports", "networks"}
    | {"depends_on", "healthcheck", "profiles", "restart", "read_only", "cap_drop"}
    | {"security_opt", "logging", "stop_grace_period"}
)
HEALTH_KEYS = frozenset({"test", "interval", "timeout", "retries", "start_period"})
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def stack() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
    return loaded


def variables_of(file: str) -> dict[str, str]:
    lines = (FOLDER / file).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def filled_in(text: str, environ: dict[str, str]) -> str:
    """Put variables in as Compose does; raises `LookupError` for one that must be set."""

    def put(found: re.Match[str]) -> str:
        name, mode, rest = found.groups()
        if environ.get(name):
            return environ[name]
        if mode == "-":
            return str(rest)
        raise LookupError(f"{name}: {rest}")

    return VARIABLE.sub(put, text)


def services(environ: dict[str, str]) -> dict[str, Any]:
    text = filled_in((FOLDER / "compose.yaml").read_text(encoding="utf-8"), environ)
    found: dict[str, Any] = yaml.safe_load(text)["services"]
    return found


@pytest.fixture(params=["own", "demo"])
def every(request: pytest.FixtureRequest) -> dict[str, Any]:
    own = {"GRAFANA_ADMIN_PASSWORD": "chosen"}
    return services(own if request.param == "own" else variables_of("demo.env"))


def test_only_keys_that_compose_knows_are_used() -> None:
    loaded = stack()

    assert {key for key in loaded if not key.startswith("x-")} == TOP_KEYS
    for service in loaded["services"].values():
        assert {key for key in service if not key.startswith("x-")} <= SERVICE_KEYS
        assert service.get("healthcheck", {}).keys() <= HEALTH_KEYS
        assert set(service["networks"]) <= loaded["networks"].keys()
        assert service.get("depends_on", {}).keys() <= loaded["services"].keys()


def test_the_stack_is_whole_and_the_demonstration_is_beside_it(every: dict[str, Any]) -> None:
    assert every.keys() == STACK | DEMO
    assert {name for name, each in every.items() if each.get("profiles") == ["demo"]} == DEMO


def test_every_image_is_of_one_version(every: dict[str, Any]) -> None:
    images = {name: each["image"] for name, each in every.items() if "build" not in each}
    built = [each for each in every.values() if "build" in each]
    bases = re.findall(r"^FROM (\S+)", (FOLDER / "Dockerfile").read_text(), re.MULTILINE)

    exact, base = re.compile(r"[\w./-]+:v?\d+\.\d+\.\d+"), re.compile(r"debian:\d+\.\d+-slim")
    assert [image for image in images.values() if not exact.fullmatch(image)] == []
    assert [image for image in bases if not base.fullmatch(image)] == []
    assert len(images) == 5
    assert {Path(FOLDER, each["build"]["context"]).resolve() for each in built} == {ROOT}
    assert {(ROOT / each["build"]["dockerfile"]).is_file() for each in built} == {True}


def test_the_collector_is_the_release_that_the_tests_run() -> None:
    builder = yaml.safe_load((ROOT / "deploy/collector/builder.yaml").read_text())

    assert stack()["services"]["collector"]["image"].endswith(f":{builder['dist']['version']}")


def test_every_file_that_is_mounted_is_there(every: dict[str, Any]) -> None:
    named = stack()["volumes"]
    mounts = [mount.split(":") for each in every.values() for mount in each.get("volumes", ())]
    files = [mount for mount in mounts if mount[0].startswith(".")]

    assert len(files) >= 8
    assert [mount for mount in files if not (FOLDER / mount[0]).exists()] == []
    assert [mount for mount in files if mount[2:] != ["ro"]] == []
    assert {mount[0] for mount in mounts if not mount[0].startswith(".")} == named.keys()


def test_files_that_programs_are_pointed_to_are_mounted(every: dict[str, Any]) -> None:
    inside = {
        name: [mount.split(":")[1] for mount in each.get("volumes", ())]
        for name, each in every.items()
    }
    pointed = {
        (name, found)
        for name, each in every.items()
        for part in (*each.get("command", ()), *each.get("environment", {}).values())
        for found in re.findall(r"(?:^|=)(/[\w./-]+\.(?:yaml|json))$", str(part))
    }

    assert len(pointed) >= 5
    assert [
        (name, path)
        for name, path in sorted(pointed)
        if not any(path == mount or path.startswith(f"{mount}/") for mount in inside[name])
    ] == []


def test_every_service_is_watched_or_says_why_not(every: dict[str, Any]) -> None:
    unwatched = {name for name, each in every.items() if "healthcheck" not in each}

    assert unwatched == {"collector", "tempo", "demo-traffic"}
    assert all(len(every[name]["x-no-healthcheck"]) > 40 for name in unwatched)
    waited_for = {
        (name, on)
        for name, each in every.items()
        for on, how in each.get("depends_on", {}).items()
        if how["condition"] == "service_healthy"
    }
    assert [pair for pair in waited_for if "healthcheck" not in every[pair[1]]] == []


def test_only_the_gateway_and_grafana_are_reached_and_on_loopback(every: dict[str, Any]) -> None:
    ports = {name: each["ports"] for name, each in every.items() if "ports" in each}

    assert ports == {"gateway": ["127.0.0.1:8080:8080"], "grafana": ["127.0.0.1:3000:3000"]}


def test_a_service_may_do_no_more_than_it_must(every: dict[str, Any]) -> None:
    for each in every.values():
        assert each["restart"] == "unless-stopped"
        assert each["read_only"] is True
        assert each["cap_drop"] == ["ALL"]
        assert each["security_opt"] == ["no-new-privileges:true"]
    assert "\nUSER 10001\n" in (FOLDER / "Dockerfile").read_text()


def test_without_a_password_nothing_starts() -> None:
    with pytest.raises(LookupError, match="GRAFANA_ADMIN_PASSWORD: say which"):
        services({})


def test_prometheus_keeps_a_month_and_the_exemplars(every: dict[str, Any]) -> None:
    command = every["prometheus"]["command"]

    assert "--storage.tsdb.retention.time=35d" in command
    assert "--enable-feature=exemplar-storage" in command


@pytest.mark.parametrize("name", ["spanmeter.yaml", "spanmeter.demo.yaml"])
def test_the_gateway_takes_its_configuration(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "spanmeter_gateway.cli", "check", "--config", str(FOLDER / name)],
        env={**os.environ, "SPANMETER_DATA_DIR": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert "relay http://0.0.0.0:8080" in done.stdout
