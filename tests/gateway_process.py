"""A real `spanmeter serve` on free loopback ports, with a folder of its own, while a test runs.

Everything is seen from outside: HTTP, signals, files. Nothing of the gateway's code is imported.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families
from tests.programs import Program, free_ports

START_S = 30.0
STOP_S = 30.0
PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class Metrics:
    """One scrape of `/metrics`."""

    text: str

    def total(self, name: str, **labels: str) -> float:
        """Add up the samples of this name that carry these labels; 0 when there are none."""
        return sum(value for _, value in self.select(name, **labels))

    def select(self, name: str, **labels: str) -> list[tuple[Mapping[str, str], float]]:
        """Return labels and value of each sample of this name that carries these labels."""
        # Only the lines in question are parsed: a page has thousands of histogram buckets.
        lines = [
            line for line in self.text.split("\n") if line.startswith((f"{name}{{", f"{name} "))
        ]
        wanted = labels.items()
        return [
            (sample.labels, sample.value)
            for family in text_string_to_metric_families("\n".join([*lines, ""]))
            for sample in family.samples
            if wanted <= sample.labels.items()
        ]

    def by(self, name: str, label: str) -> dict[str, float]:
        """Add up the samples of this name for each value of a label; zeros are left out."""
        sums: dict[str, float] = {}
        for found, value in self.select(name):
            if value:
                sums[found[label]] = sums.get(found[label], 0) + value
        return sums


class GatewayProcess(Program):
    """`with GatewayProcess(upstreams={...}) as gateway:`; stops it and looks for tracebacks.

    `settings` are further keys of the configuration file, `environ` further variables.
    """

    def __init__(
        self,
        *,
        upstreams: Mapping[str, Mapping[str, Any]] | None = None,
        workers: int = 1,
        settings: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__("test")
        self.data_dir = self.folder / "data"
        self.errors_file = self.folder / "stderr.txt"
        relay_port, books_port = free_ports(2)
        self.url = f"http://127.0.0.1:{relay_port}"
        self.books_url = f"http://127.0.0.1:{books_port}"
        self.config: dict[str, Any] = {
            "listen": f"127.0.0.1:{relay_port}",
            "books": {"listen": f"127.0.0.1:{books_port}"},
            "workers": workers,
            "data_dir": str(self.data_dir),
            "upstreams": {name: dict(values) for name, values in (upstreams or {}).items()},
            **(settings or {}),
        }
        self._environ = {**_clean_environ(), **(environ or {})}

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        assert self._process is not None, "the gateway was not started"
        return self._process.pid

    @property
    def child_pids(self) -> tuple[int, ...]:
        """The process ids of all processes below the supervisor."""
        return _descendants(self.pid)

    @property
    def errors(self) -> str:
        """Everything that was written to standard error so far."""
        return self.errors_file.read_text(errors="replace")

    def start(self) -> None:
        """Start it and wait until the relay is ready and the books answer."""
        config_file = self.folder / "spanmeter.yaml"
        config_file.write_text(yaml.safe_dump(self.config, sort_keys=False))
        with self.errors_file.open("ab") as errors, (self.folder / "stdout.txt").open("ab") as out:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "spanmeter_gateway.cli"),
                    *("serve", "--config", str(config_file)),
                ],
                cwd=self.folder,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                start_new_session=True,
            )
        try:
            self._await_answer(f"{self.url}/readyz")
            self._await_answer(f"{self.books_url}/healthz")
        except BaseException:
            self.kill()
            raise

    def stop(self, *, timeout_s: float = STOP_S) -> None:
        """Send SIGTERM; fails when it does not stop cleanly or if a traceback was printed."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"not stopped {timeout_s} s after SIGTERM:\n{self.errors}"
            ) from None
        self._process = None
        assert "Traceback" not in self.errors, f"it printed a traceback:\n{self.errors}"
        assert status == 0, f"it ended with status {status}:\n{self.errors}"

    def wait_end(self, *, timeout_s: float = STOP_S) -> None:
        """Wait until it has ended by itself: a second signal would hurry it."""
        assert self._process is not None, "the gateway was not started"
        self._process.wait(timeout_s)

    def kill(self) -> None:
        """End every process of this gateway at once, without a chance to tidy up."""
        process = self._process
        if process is None:
            return
        for pid in (*self.child_pids, process.pid):
            _kill(pid)
        process.wait(STOP_S)
        self._process = None

    def metrics(self) -> Metrics:
        """Scrape the books once."""
        with urllib.request.urlopen(f"{self.books_url}/metrics", timeout=10) as answer:
            return Metrics(answer.read().decode())

    def wait_metrics(
        self, is_enough: Callable[[Metrics], bool], *, timeout_s: float = 20
    ) -> Metrics:
        """Scrape until the metrics satisfy a predicate; raises `TimeoutError`."""
        until = time.monotonic() + timeout_s
        while not is_enough(metrics := self.metrics()):
            if time.monotonic() > until:
                counted = metrics.by("spanmeter_calls_total", "spanmeter_outcome")
                raise TimeoutError(f"the metrics are not as awaited; calls by outcome: {counted}")
            time.sleep(PAUSE_S)
        return metrics

    def _await_answer(self, url: str) -> None:
        assert self._process is not None
        until = time.monotonic() + START_S
        while not _answers(url):
            assert self._process.poll() is None, f"it ended while starting:\n{self.errors}"
            assert time.monotonic() < until, f"no answer from {url}:\n{self.errors}"
            time.sleep(PAUSE_S)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _clean_environ() -> dict[str, str]:
    # What the machine says about telemetry or the gateway must not decide a test.
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OTEL_", "SPANMETER_")) and not name.lower().endswith("_proxy")
    }


def _descendants(pid: int) -> tuple[int, ...]:
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], check=True, capture_output=True, text=True
    ).stdout
    pairs = [(int(child), int(parent)) for child, parent in map(str.split, listed.splitlines())]
    found = [pid]
    for ancestor in found:
        found += [child for child, parent in pairs if parent == ancestor]
    return tuple(found[1:])


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
