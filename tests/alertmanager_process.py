"""A real Alertmanager with the shipped configuration on a free loopback port, while a test runs."""

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from tests.components import require
from tests.processes import is_answering, wait_until
from tests.programs import Program, free_ports

FOLDER = Path(__file__).resolve().parent.parent / "deploy" / "alertmanager"
CONFIG = FOLDER / "alertmanager.yaml"
SHIPPED_RECEIVER = "http://127.0.0.1:9099"
SHORT = "1s"


def switched_on(shipped: str) -> str:
    """Take away the `#` before every line of configuration that a shipped file has switched off."""
    return re.sub(r"(?m)^( *)#(?! \S)", r"\1", shipped)


def hurried(receiver_url: str, shipped: str = "") -> dict[str, Any]:
    """Read the shipped file with another address of the receivers and short waits.

    What is repeated, and when, stays as it is shipped. `shipped` is its text, if not as it is.
    """
    text = shipped or CONFIG.read_text()
    config: dict[str, Any] = yaml.safe_load(text.replace(SHIPPED_RECEIVER, receiver_url))
    config["templates"] = [str(FOLDER / name) for name in config["templates"]]
    for route in _routes(config["route"]):
        route |= {"group_wait": SHORT, "group_interval": SHORT}
    return config


def _routes(route: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield route
    for child in route.get("routes", []):
        yield from _routes(child)


class AlertmanagerProcess(Program):
    """`with AlertmanagerProcess(hurried(webhook.url)) as alertmanager:`.

    Without a configuration it is the shipped file itself. Skips the test where there is none.
    """

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        self._program = require("prometheus-alertmanager")
        super().__init__("alertmanager")
        self._config = config
        [port] = free_ports(1)
        self.target = f"127.0.0.1:{port}"
        self.url = f"http://{self.target}"

    @property
    def errors(self) -> str:
        """Everything that it logged so far."""
        return (self.folder / "log.txt").read_text(errors="replace")

    def alerts(self) -> list[dict[str, Any]]:
        """List the alerts that it knows, each with its `labels` and `status`."""
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts", timeout=10) as answer:
            return list(json.loads(answer.read()))

    def post(self, alerts: Sequence[Mapping[str, str]]) -> None:
        """Let alerts with these labels fire, as Prometheus would; they end after 5 minutes."""
        body = json.dumps([{"labels": dict(labels)} for labels in alerts]).encode()
        request = urllib.request.Request(
            f"{self.url}/api/v2/alerts", body, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10):
            pass

    def start(self) -> None:
        """Start it and wait until it is ready."""
        config_file = CONFIG
        if self._config is not None:
            config_file = self.folder / "alertmanager.yaml"
            config_file.write_text(yaml.safe_dump(self._config, sort_keys=False))
        with (self.folder / "log.txt").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    str(self._program),
                    f"--config.file={config_file}",
                    f"--storage.path={self.folder / 'storage'}",
                    f"--web.listen-address={self.target}",
                    "--cluster.listen-address=",
                    "--data.retention=750h",
                ],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(self._is_ready)

    def _is_ready(self) -> bool:
        self.require_running(self.errors)
        return is_answering(f"{self.url}/-/ready")
