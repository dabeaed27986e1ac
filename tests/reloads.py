"""A running gateway's configuration, changed as an operator does: the file, and a signal."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from tests.gateway_process import GatewayProcess, Metrics


def write(gateway: GatewayProcess, settings: Mapping[str, Any]) -> None:
    """Put another file in the place of the configuration, with some keys changed."""
    gateway.config.update(settings)
    path = gateway.folder / "spanmeter.yaml"
    whole = path.with_suffix(".new")
    whole.write_text(yaml.safe_dump(gateway.config, sort_keys=False))
    whole.replace(path)


def ask(gateway: GatewayProcess) -> None:
    """Ask for a reload, as `kill -HUP` does."""
    os.kill(gateway.pid, signal.SIGHUP)


def reload(gateway: GatewayProcess, settings: Mapping[str, Any]) -> Metrics:
    """Change the configuration, ask for a reload, and wait until it is in force."""
    before = gateway.metrics().total("spanmeter_config_generation")
    write(gateway, settings)
    ask(gateway)
    return gateway.wait_metrics(lambda seen: seen.total("spanmeter_config_generation") > before)


def wait_refused(gateway: GatewayProcess, count: int = 1) -> Metrics:
    """Wait until so many reloads were refused."""
    return gateway.wait_metrics(
        lambda seen: seen.total("spanmeter_config_reloads_total", result="refused") >= count
    )


def secret(path: Path, text: str) -> dict[str, str]:
    """Write a credential to a file in one step, and name it."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)
    return {"file": str(path)}
