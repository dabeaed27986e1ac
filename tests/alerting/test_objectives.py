"""Alerts on errors, waits and callers of features, under promtool: one world, a feature a case."""

import pytest
from tests.alerting.objective_burns import BURNS, NETS
from tests.alerting.objective_waits import CALLERS, WAITS
from tests.alerting.objective_world import SLO
from tests.alerting_rules import Case, about, complaints

LONG = ("spanmeter-features-long", "spanmeter-objectives-long")
FILES = ("features", "objectives", "callers")
CASES = BURNS + NETS + WAITS + CALLERS


@pytest.fixture(scope="module")
def complained(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What promtool complains about in one world of all cases."""
    folder = tmp_path_factory.mktemp("objectives")
    return complaints(folder, CASES, SLO, files=FILES, without=LONG, together=True)


@pytest.mark.parametrize("each", CASES, ids=lambda each: each.name)
def test_an_alert_fires_when_it_should_and_only_then(each: Case, complained: str) -> None:
    assert about(complained, each.name) == ""
