"""What is shown beside the table where it is installed: Prometheus with the rules, Grafana with the
dashboards, as they are shipped but for their addresses.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from spanmeter_gateway.alerting import build, places
from spanmeter_gateway.alerting.slo import Links, Slo
from spanmeter_gateway.demo.processes import child, free_port, wait_for
from spanmeter_gateway.errors import StartError

SCRAPE_INTERVAL = "5s"
"""Shorter than the shipped one: who watches a demonstration waits for the first line."""
SHIPPED = Path(__file__).resolve().parents[4] / "grafana"
"""Of the checkout; an installed package has no dashboards."""
# Where Grafana's packages put what it serves: its documentation, "Install Grafana on Debian".
_GRAFANA_HOME = Path("/usr/share/grafana")
# The addresses and the interval in grafana/provisioning.
_SHIPPED_URL, _SHIPPED_INTERVAL = "http://localhost:9090", "timeInterval: 15s"
_SHIPPED_DASHBOARDS = "/var/lib/grafana/dashboards/spanmeter"


@contextmanager
def programs(folder: Path, target: str) -> Iterator[list[str]]:
    """Start what is on the PATH, to scrape `target` and draw it; yields a line to show for each."""
    prometheus, grafana = shutil.which("prometheus"), _grafana()
    # Not 9090 and 3000: who takes them between our look and our start would be taken for ours.
    url = f"http://127.0.0.1:{free_port(0)}"
    charts = f"http://127.0.0.1:{free_port(0)}"
    lines: list[str] = []
    with ExitStack() as running:
        if prometheus is not None:
            argv = _prometheus(folder / "prometheus", url, target=target, charts=charts)
            begun = _started((prometheus, *argv), folder / "prometheus", ready=f"{url}/-/ready")
            problem = running.enter_context(begun)
            lines.append(problem or f"Prometheus is {url}, with the alert rules.")
        if prometheus is not None and grafana is not None:
            environ = _environ(folder / "grafana", charts, prometheus=url)
            ready = f"{charts}/api/health"
            begun = _started(grafana, folder / "grafana", ready=ready, environ=environ)
            problem = running.enter_context(begun)
            lines.append(problem or f"Grafana is {charts}{places.OVERVIEW}, with the dashboards.")
        yield lines


@contextmanager
def _started(
    argv: Sequence[str], folder: Path, *, ready: str, environ: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Run a program; yields why it is not ready, if so: the demonstration goes on without it."""
    log = folder / "log.txt"
    companion = (sys.executable, "-m", "spanmeter_gateway.demo.companion", str(log))
    with child((*companion, *argv), environ=environ) as process:
        try:
            wait_for(ready, process)
        except StartError:
            yield f"{Path(argv[0]).name} did not start; {log} says why."
        else:
            yield ""


def _prometheus(folder: Path, url: str, *, target: str, charts: str) -> tuple[str, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    slo = Slo(links=Links(dashboards=charts))
    build.write(folder, build.files(slo))
    config = {
        "global": {"scrape_interval": SCRAPE_INTERVAL, "scrape_timeout": SCRAPE_INTERVAL},
        "rule_files": ["rules/*.yaml"],
        "scrape_configs": [{"job_name": slo.job, "static_configs": [{"targets": [target]}]}],
    }
    config_file = folder / "prometheus.json"  # YAML, too
    config_file.write_text(json.dumps(config), encoding="utf-8")
    return (
        f"--config.file={config_file}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--storage.tsdb.retention.time=35d",
        "--enable-feature=exemplar-storage",
    )


def _grafana() -> tuple[str, ...] | None:
    home = ("--homepath", str(_GRAFANA_HOME)) if _GRAFANA_HOME.is_dir() else ()
    if not (SHIPPED / "dist").is_dir():
        return None
    if (program := shutil.which("grafana")) is not None:
        return (program, "server", *home)
    program = shutil.which("grafana-server")
    return None if program is None else (program, *home)


def _environ(folder: Path, url: str, *, prometheus: str) -> dict[str, str]:
    """Write what Grafana is provisioned with; return its environment."""
    changed = {
        _SHIPPED_URL: prometheus,
        _SHIPPED_INTERVAL: f"timeInterval: {SCRAPE_INTERVAL}",
        _SHIPPED_DASHBOARDS: str(SHIPPED / "dist"),
    }
    for file in (SHIPPED / "provisioning").glob("*/*.yaml"):
        text = file.read_text(encoding="utf-8")
        for shipped, ours in changed.items():
            text = text.replace(shipped, ours)
        copy = folder / "provisioning" / file.parent.name / file.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text, encoding="utf-8")
    # Source of the names: Grafana's documentation, "Configure Grafana".
    return {
        **os.environ,
        "GF_PATHS_DATA": str(folder / "own"),
        "GF_PATHS_LOGS": str(folder / "own"),
        "GF_PATHS_PROVISIONING": str(folder / "provisioning"),
        "GF_SERVER_HTTP_ADDR": "127.0.0.1",
        "GF_SERVER_HTTP_PORT": url.rpartition(":")[2],
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
    }
