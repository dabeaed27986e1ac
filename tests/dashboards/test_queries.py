"""Every query of every dashboard, as Grafana asks it, on a real Prometheus with two weeks in it."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from tests.dashboards import fleet, history, shipped
from tests.dashboards.answers import Answer, Choices, ask_all, decided, question
from tests.dashboards.grafana_queries import Choice, Window
from tests.dashboards.shipped import Target
from tests.prometheus_process import PrometheusProcess

from grafana import sources
from grafana.queries import FEATURE, LABEL_BY_VARIABLE

HOUR_S, DAY_S = 3600, 86400
MAY_BE_EMPTY: Mapping[str, str] = {
    "Calls without the tag / B": "every call of the fleet has every tag: from 0 there is no change",
}
"""By panel and query: why there is nothing to show, although all is as it should be."""
SOURCES = {source.variable: source for source in sources.ALL}


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


def asked(url: str, dashboard: shipped.Json, choices: Choices) -> list[Answer]:
    window = window_of(dashboard)
    targets = shipped.everything(dashboard)
    return ask_all(url, [question(target, choices, window) for target in targets])


def unanswered(answers: list[Answer]) -> set[tuple[str, str]]:
    """Name what is wrong or empty and should not be."""
    return {
        (each.question.target.place, each.problem or "empty")
        for each in answers
        if each.problem or not (each.series or each.question.target.place in MAY_BE_EMPTY)
    }


@pytest.mark.parametrize("values", [0, 1, 2], ids=["all", "one", "two"])
@pytest.mark.parametrize("uid", shipped.UIDS)
def test_every_query_of_a_dashboard_has_an_answer(
    prometheus: PrometheusProcess, uid: str, values: int
) -> None:
    dashboard = shipped.load(uid)
    raw = chosen(dashboard, values)
    by_prometheus = decided(prometheus.url, dashboard, raw, window_of(dashboard))

    for choices in (raw, by_prometheus):
        answers = asked(prometheus.url, dashboard, choices)
        assert answers
        assert unanswered(answers) == set()


@pytest.mark.parametrize("range_s", [DAY_S, 7 * DAY_S], ids=["day", "week"])
@pytest.mark.parametrize("uid", shipped.UIDS)
def test_recorded_sums_say_what_the_metrics_say(
    prometheus: PrometheusProcess, uid: str, range_s: int
) -> None:
    dashboard, window = shipped.load(uid), history.window(range_s)
    raw = chosen(dashboard, 0)
    recorded = decided(prometheus.url, dashboard, raw, window)
    assert {name for name in recorded if recorded[name] != raw[name]} == {
        each["name"] for each in shipped.sources(dashboard)
    } - _narrowed(uid)

    targets = [untied(each) for each in shipped.everything(dashboard) if each.label is None]
    by_metrics, by_sums = (
        ask_all(prometheus.url, [question(target, choices, window) for target in targets])
        for choices in (raw, recorded)
    )

    assert [
        (one.question.target.place, one.values, other.values)
        for one, other in zip(by_metrics, by_sums, strict=True)
        if not one.question.target.place.startswith("variable ")
        and other.values != pytest.approx(one.values, rel=1e-6, abs=1e-6)
    ] == []


def untied(target: Target) -> Target:
    """Show all of what leads: which of two equals is the tenth is a matter of chance."""
    return replace(target, expr=target.expr.replace("topk(10,", "topk(100,"))


def _narrowed(uid: str) -> set[str]:
    """Name the sums that a dashboard of one feature cannot read: they know no feature."""
    if uid != "spanmeter-feature":
        return set()
    return {name for name, each in SOURCES.items() if each.kept and FEATURE not in each.kept}


@pytest.mark.parametrize(
    ("range_s", "kind"), [(12 * HOUR_S, "raw"), (2 * DAY_S, "recorded"), (7 * DAY_S, "seldom")]
)
def test_long_ranges_read_recorded_sums(
    prometheus: PrometheusProcess, range_s: int, kind: str
) -> None:
    dashboard = shipped.load("spanmeter-models")
    raw = chosen(dashboard, 0)
    found = decided(prometheus.url, dashboard, raw, history.window(range_s))

    named = {name: found[name].values[0] for name in SOURCES if name in found}
    assert named == {
        name: SOURCES[name].seldom if SOURCES[name].is_long else getattr(SOURCES[name], kind)
        for name in named
    }


def test_a_filter_that_a_recorded_sum_cannot_follow_is_answered_by_the_metric(
    prometheus: PrometheusProcess,
) -> None:
    dashboard = shipped.load("spanmeter-features")
    choices = {**chosen(dashboard, 0), "tag_env": Choice(("prod",))}
    found = decided(prometheus.url, dashboard, choices, history.window())

    assert found["waits"].values == (sources.WAITS.raw,)
    assert found["calls"].values == (sources.CALLS.recorded,)
