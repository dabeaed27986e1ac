"""Two weeks of a made-up company, written once, and each Prometheus that shows them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.dashboards import fleet, history, shipped
from tests.prometheus_process import PrometheusProcess

from grafana import sources

KEEP = "--storage.tsdb.retention.time=60d"


@pytest.fixture(scope="session")
def two_weeks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("history")
    read = "".join(file.read_text() for file in shipped.DIST.glob("*.json"))
    # Written where a variable names them.
    assert all(source.seldom in read for source in sources.ALL)
    history.write(folder, history.shipped_series(fleet.pairs(), read))
    return folder / "tsdb"


@pytest.fixture(scope="module", params=["prometheus", "prometheus3"])
def prometheus(two_weeks: Path, request: pytest.FixtureRequest) -> Iterator[PrometheusProcess]:
    process = PrometheusProcess({}, program=request.param, flags=[KEEP])
    shutil.copytree(two_weeks, process.folder / "tsdb")
    with process as running:
        yield running
