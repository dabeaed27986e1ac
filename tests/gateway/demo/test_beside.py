"""What is started beside the demonstration, with stand-ins for what is not installed here."""

import sys
import urllib.request
from pathlib import Path

import pytest
import yaml
from tests.components import require

from spanmeter_gateway.demo import beside

GRAFANA = """\
#!{python}
import http.server, json, os, pathlib, sys

class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

told = {{"arguments": sys.argv[1:]}} | {{k: v for k, v in os.environ.items() if k[:3] == "GF_"}}
pathlib.Path("{told}").write_text(json.dumps(told))
address = os.environ["GF_SERVER_HTTP_ADDR"], int(os.environ["GF_SERVER_HTTP_PORT"])
http.server.HTTPServer(address, Health).serve_forever()
"""


def program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(text)
    file.chmod(0o755)


def test_without_either_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with beside.programs(tmp_path, "127.0.0.1:1") as lines:
        assert lines == []
    assert list(tmp_path.iterdir()) == []


def test_a_prometheus_that_does_not_start_is_told_and_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin", "prometheus", "#!/bin/sh\necho no such flag >&2\nexit 2\n")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    with beside.programs(tmp_path, "127.0.0.1:1") as lines:
        said = list(lines)
    log = tmp_path / "prometheus/log.txt"
    assert said == [f"prometheus did not start; {log} says why."]
    assert log.read_text() == "no such flag\n"


def test_grafana_is_provisioned_with_that_prometheus_and_the_dashboards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told.json"
    program(tmp_path / "bin", "grafana", GRAFANA.format(python=sys.executable, told=told))
    (tmp_path / "bin/prometheus").symlink_to(require("prometheus"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    with beside.programs(tmp_path, "127.0.0.1:1") as lines:
        [prometheus, grafana] = [line.split()[2].rstrip(",") for line in lines]
        health = urllib.request.urlopen(grafana.replace("/d/spanmeter-overview", "/api/health"))
        health.close()
    environ = yaml.safe_load(told.read_text())
    provisioning = Path(environ["GF_PATHS_PROVISIONING"])
    [source, _] = yaml.safe_load((provisioning / "datasources/spanmeter.yaml").read_text())[
        "datasources"
    ]
    [folder] = yaml.safe_load((provisioning / "dashboards/spanmeter.yaml").read_text())["providers"]
    assert health.status == 200
    assert environ["arguments"][0] == "server"
    assert (source["url"], source["jsonData"]["timeInterval"]) == (
        prometheus,
        beside.SCRAPE_INTERVAL,
    )
    assert Path(folder["options"]["path"], "spanmeter-overview.json").is_file()
