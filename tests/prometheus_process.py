"""A real Prometheus on a free loopback port, with a folder of its own, while a test runs."""

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import yaml
from tests.components import require
from tests.processes import is_answering, wait_until
from tests.programs import Program, free_ports

SCRAPE_INTERVAL = "250ms"


class Sample(NamedTuple):
    """One series of an instant query's answer."""

    labels: Mapping[str, str]
    value: float


Samples = list[Sample]


class PrometheusProcess(Program):
    """`with PrometheusProcess({"books": "127.0.0.1:9464"}) as prometheus:` scrapes these jobs.

    `settings` are further top-level keys of its configuration (`rule_files`, `alerting`), `flags`
    further options of the program, `program` another component than Debian's. Skips the test
    where there is no such component.
    """

    def __init__(
        self,
        targets: Mapping[str, str],
        *,
        scrape_interval: str = SCRAPE_INTERVAL,
        settings: Mapping[str, Any] | None = None,
        flags: Sequence[str] = (),
        program: str = "prometheus",
    ) -> None:
        self._program = require(program)
        super().__init__("prometheus")
        self._config: dict[str, Any] = {
            "global": {
                "scrape_interval": scrape_interval,
                "scrape_timeout": scrape_interval,
                "evaluation_interval": scrape_interval,
            },
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [target]}]}
                for job, target in targets.items()
            ],
            **(settings or {}),
        }
        self._flags = tuple(flags)
        self.url = ""

    @property
    def errors(self) -> str:
        """Everything that it logged so far."""
        return (self.folder / "log.txt").read_text(errors="replace")

    def query(self, expression: str) -> Samples:
        """Evaluate an expression now: the samples of a vector, in the order of the answer."""
        question = urllib.parse.urlencode({"query": expression})
        result = self.get(f"/api/v1/query?{question}")["result"]
        return [Sample(row["metric"], float(row["value"][1])) for row in result]

    def wait(
        self, expression: str, is_enough: Callable[[Samples], object], *, timeout_s: float = 30
    ) -> Samples:
        """Evaluate until the samples satisfy a predicate; raises `TimeoutError`."""
        samples: Samples = []

        def is_so() -> object:
            nonlocal samples
            samples = self.query(expression)
            return is_enough(samples)

        try:
            wait_until(is_so, timeout_s=timeout_s)
        except TimeoutError as error:
            raise TimeoutError(f"{expression} is {samples}\n{self.errors}") from error
        return samples

    def wait_scrapes(self, count: int, *, job: str) -> None:
        """Wait until a job was scraped successfully so many more times."""
        scrapes = f'sum(sum_over_time(up{{job="{job}"}}[1h]))'
        done = sum(sample.value for sample in self.query(scrapes))
        self.wait(scrapes, lambda now: now and now[0].value >= done + count)

    def get(self, path: str) -> Any:
        """Ask its HTTP API (`/api/v1/...`), and return the answer's `data`."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.loads(answer.read())["data"]

    def start(self) -> None:
        """Start it and wait until it is ready."""
        config_file = self.folder / "prometheus.yml"
        config_file.write_text(yaml.safe_dump(self._config, sort_keys=False))
        [port] = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        with (self.folder / "log.txt").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    str(self._program),
                    f"--config.file={config_file}",
                    f"--storage.tsdb.path={self.folder / 'tsdb'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                    *self._flags,
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
