"""Every query of every dashboard, as Grafana asks it, on a real Prometheus with two weeks in it."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.dashboards import fleet, history, shipped
from tests.dashboards.answers import Answer, Choices, ask_all, question
from tests.dashboards.grafana_queries import Choice, Window
from tests.prometheus_process import PrometheusProcess

from grafana.queries import LABEL_BY_VARIABLE

HOUR_S, DAY_S = 3600, 86400
MAY_BE_EMPTY: Mapping[str, str] = {
    "Calls without the tag / B": "every call of the fleet has every tag: from 0 there is no change",
}
"""By panel and query: why there is nothing to show, although all is as it should be."""
KEEP = "--storage.tsdb.retention.time=60d"


@pytest.fixture(scope="session")
def two_weeks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("history")
    read = "".join(file.read_text() for file in shipped.DIST.glob("*.json"))
    history.write(folder, history.shipped_series(fleet.pairs(), read))
    return folder / "tsdb"


@pytest.fixture(scope="module", params=["prometheus", "prometheus3"])
def prometheus(two_weeks: Path, request: pytest.FixtureRequest) -> Iterator[PrometheusProcess]:
    process = PrometheusProcess({}, program=request.param, flags=[KEEP])
    shutil.copytree(two_weeks, process.folder / "tsdb")
    with process as running:
        yield running


def window_of(dashboard: shipped.Json) -> Window:
    """Take the dashboard's own time range, as long as the week before it is in the history."""
    unit_s = {"h": HOUR_S, "d": DAY_S}
    since = dashboard["time"]["from"].removeprefix("now-")
    return history.window(min(int(since[:-1]) * unit_s[since[-1]], 7 * DAY_S))


def chosen(dashboard: shipped.Json, values: int) -> Choices:
    """Choose so many values for each variable, such that there are calls with them."""
    choices = shipped.at_all(dashboard)
    pairs = fleet.together(fleet.pairs(), values or 1)
    for each in shipped.variables(dashboard):
        is_many = bool(each["multi"] or each["includeAll"])
        if each["name"] in LABEL_BY_VARIABLE and (values or not is_many):
            label = LABEL_BY_VARIABLE[each["name"]]
            found = tuple(dict.fromkeys(pair.labels[label] for pair in pairs))
            choices[each["name"]] = Choice(found if is_many else found[:1], None, is_many)
    return choices


def asked(url: str, uid: str, values: int) -> list[Answer]:
    dashboard = shipped.load(uid)
    choices, window = chosen(dashboard, values), window_of(dashboard)
    targets = shipped.everything(dashboard)
    return ask_all(url, [question(target, choices, window) for target in targets])


@pytest.mark.parametrize("values", [0, 1, 2], ids=["all", "one", "two"])
@pytest.mark.parametrize("uid", shipped.UIDS)
def test_every_query_of_a_dashboard_has_an_answer(
    prometheus: PrometheusProcess, uid: str, values: int
) -> None:
    answers = asked(prometheus.url, uid, values)

    wrong = [(each.question.target.place, each.problem) for each in answers if each.problem]
    empty = {each.question.target.place for each in answers if not each.series}
    assert answers
    assert wrong == []
    assert empty - MAY_BE_EMPTY.keys() == set()
