"""A real OpenTelemetry Collector with the shipped configuration, on free loopback ports.

It runs `otel-collector.yaml` as it is; a second file moves the ports and shortens the waits.
"""

import json
import os
import subprocess
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from tests.components import require
from tests.processes import is_answering, wait_until
from tests.programs import STOP_S, Program, free_ports

CONFIG = Path(__file__).resolve().parent.parent / "otel-collector.yaml"
_PORTS = ("grpc", "http", "prometheus", "health", "own")


def shipped() -> dict[str, Any]:
    """Read the shipped configuration."""
    loaded = yaml.safe_load(CONFIG.read_text())
    assert isinstance(loaded, dict)
    return loaded


class CollectorProcess(Program):
    """`with CollectorProcess(traces_to=sink) as collector:`; stops it at the end.

    `sample_percent` is the share of traces kept that no other policy keeps, `settings` are keys
    that override the shipped ones. Its queue on disk survives `stop` and `kill` until the end.
    """

    def __init__(
        self,
        *,
        traces_to: str = "http://127.0.0.1:9",
        sample_percent: int = 100,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self._program = require("otelcol-spanmeter")
        super().__init__("collector")
        self.ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
        self.log_file = self.folder / "log.jsonl"
        self._settings = settings or {}
        self._environ = {
            "PATH": os.environ["PATH"],
            "OTELCOL_QUEUE_DIR": str(self.folder / "queue"),
            "TRACES_ENDPOINT": traces_to,
            "TRACES_SAMPLE_PERCENT": str(sample_percent),
        }

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, "the Collector was not started"
        return self._process.pid

    @property
    def http_endpoint(self) -> str:
        """The value for `OTEL_EXPORTER_OTLP_ENDPOINT` with `http/protobuf`."""
        return self._url("http")

    @property
    def grpc_endpoint(self) -> str:
        """The same for `grpc`."""
        return self._url("grpc")

    @property
    def metrics_target(self) -> str:
        """Where Prometheus scrapes what applications sent: host and port."""
        return f"127.0.0.1:{self.ports['prometheus']}"

    @property
    def log(self) -> list[dict[str, Any]]:
        """Everything that it logged so far, each line with its `level` and `msg`."""
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]

    def metrics(self) -> str:
        """Scrape once what applications sent, as OpenMetrics with exemplars."""
        return _get(f"{self._url('prometheus')}/metrics")

    def own_metrics(self) -> str:
        """Scrape once what it says about itself."""
        return _get(f"{self._url('own')}/metrics")

    def start(self) -> None:
        """Start it and wait until it is ready."""
        overlay = self.folder / "overlay.yaml"
        overlay.write_text(yaml.safe_dump(self._overlay()))
        settings = self.folder / "settings.yaml"
        settings.write_text(yaml.safe_dump(dict(self._settings)))
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._program), *(f"--config={each}" for each in (CONFIG, overlay, settings))],
                cwd=self.folder,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self._is_ready)

    def kill(self) -> None:
        """End it as a crash would."""
        process, self._process = self._process, None
        assert process is not None, "the Collector was not started"
        process.kill()
        process.wait(STOP_S)

    def _is_ready(self) -> bool:
        self.require_running(self.log_file.read_text())
        return is_answering(self._url("health"))

    def _url(self, port: str) -> str:
        return f"http://127.0.0.1:{self.ports[port]}"

    def _overlay(self) -> dict[str, Any]:
        def at(port: str) -> dict[str, str]:
            return {"endpoint": f"127.0.0.1:{self.ports[port]}"}

        # A list is replaced as a whole, so the reader is the shipped one with another port.
        readers = shipped()["service"]["telemetry"]["metrics"]["readers"]
        readers[0]["pull"]["exporter"]["prometheus"] |= {"host": "127.0.0.1"}
        readers[0]["pull"]["exporter"]["prometheus"] |= {"port": self.ports["own"]}
        return {
            "extensions": {"health_check": at("health")},
            "receivers": {"otlp": {"protocols": {"grpc": at("grpc"), "http": at("http")}}},
            "processors": {
                "tail_sampling": {
                    "decision_wait": "1s", "decision_wait_after_root_received": "100ms",
                },
            },
            "exporters": {
                "prometheus": at("prometheus"),
                "otlp_grpc/traces": {
                    "retry_on_failure": {"initial_interval": "200ms", "max_interval": "500ms"},
                    "sending_queue": {"batch": {"flush_timeout": "100ms"}},
                },
            },
            "service": {"telemetry": {"metrics": {"readers": readers}}},
        }  # fmt: skip


def validate() -> subprocess.CompletedProcess[str]:
    """Let the Collector check the shipped file, with no variable set."""
    program = require("otelcol-spanmeter")
    return subprocess.run(
        [str(program), "validate", f"--config={CONFIG}"],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )


def _get(url: str) -> str:
    request = urllib.request.Request(url, headers={"accept": "application/openmetrics-text"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.read().decode())
