"""Each dashboard's JSON against the house's rules, which include those of Grafana's own linter.

Grafana's dashboard-linter asks for more: `job` and `instance` as variables and in every query. Ours
have none: a call's feature, not its machine, is what the numbers are of.
"""

import itertools
import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator

import pytest
from tests.components import require
from tests.dashboards import shape, shipped
from tests.dashboards.grafana_queries import references

from grafana import build, frame, limits, sources
from grafana.queries import LABEL_BY_VARIABLE
from grafana.tables import FLAT
from spanmeter_gateway.alerting import places, series

MACROS = {"__range", "__range_s", "__interval", "__rate_interval"}
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
PANELS_SHOWN = range(8, 17)
FORBIDDEN = ("__inputs", "__requires", "__elements", "snapshot", "gnetId")
COLUMNS = 24
BOUNDED_OTHERWISE: dict[str, str] = {}
"""By panel and query: why there are few, though nothing in the query says so."""


@pytest.fixture(params=shipped.UIDS)
def dashboard(request: pytest.FixtureRequest) -> shipped.Json:
    return shipped.load(request.param)


def titles(panels: Iterator[shipped.Json]) -> list[str]:
    return [panel["title"] for panel in panels]


def asking(dashboard: shipped.Json) -> Iterator[shipped.Json]:
    kinds = shipped.WITHOUT_QUERIES
    return (panel for panel in shipped.panels(dashboard) if panel["type"] not in kinds)


def test_what_is_committed_is_what_the_code_makes() -> None:
    assert build.stale(shipped.DIST) == []


def test_every_dashboard_that_is_named_is_there() -> None:
    named = {value.removeprefix("/d/") for key, value in vars(places).items() if key.isupper()}

    assert set(shipped.UIDS) == set(frame.TITLE_BY_UID) == named


def test_every_dashboard_has_its_section() -> None:
    page = (shipped.ROOT / "docs/dashboards.md").read_text()

    assert [title for title in frame.TITLE_BY_UID.values() if f"\n## {title}\n" not in page] == []


def test_every_recorded_sum_is_on_the_page() -> None:
    page = (shipped.ROOT / "docs/dashboards.md").read_text()

    sums = {source.recorded for source in sources.ALL} | {series.SUMS_RECORDED}
    assert {name for name in sums if f"| `{name}` |" not in page} == set()


def test_git_keeps_the_dashboards() -> None:
    # `dist/` is ignored wherever Python builds something.
    ignored = subprocess.run(
        [require("git"), "-c", "safe.directory=*", "check-ignore", str(shipped.DIST / "x.json")],
        cwd=shipped.ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip

    assert (ignored.returncode, ignored.stdout, ignored.stderr) == (1, "", "")


def test_a_dashboard_has_what_grafana_reads(dashboard: shipped.Json) -> None:
    rows = [panel for panel in dashboard["panels"] if panel["type"] == "row"]
    every = [
        *((dashboard["uid"], dashboard, shape.DASHBOARD),),
        *((each["title"], each, shape.PANEL) for each in shipped.panels(dashboard)),
        *((each["title"], each, shape.ROW) for each in rows),
        *((each["name"], each, shape.VARIABLE) for each in dashboard["templating"]["list"]),
        *((each["name"], each, shape.QUERY_VARIABLE) for each in shipped.variables(dashboard)),
        *((each["name"], each, shape.ANNOTATION) for each in dashboard["annotations"]["list"]),
        *(
            (panel["title"], target, shape.TARGET)
            for panel in shipped.panels(dashboard)
            for target in panel["targets"]
        ),
        *((panel["title"], panel["gridPos"], shape.PLACE) for panel in dashboard["panels"]),
    ]

    assert [(name, found) for name, each, keys in every if (found := shape.wrong(each, keys))] == []
    assert {panel["type"] for panel in shipped.panels(dashboard)} <= shape.KINDS


def test_a_dashboard_is_anybodys(dashboard: shipped.Json) -> None:
    assert dashboard["uid"] in shipped.UIDS
    assert dashboard["editable"] is False
    assert dashboard["timezone"] == "browser"
    assert "id" not in dashboard
    assert [key for key in FORBIDDEN if key in dashboard] == []


def test_one_variable_is_the_source_of_everything(dashboard: shipped.Json) -> None:
    sources = shipped.variables(dashboard, "datasource")
    users = [
        *shipped.panels(dashboard),
        *(target for panel in shipped.panels(dashboard) for target in panel["targets"]),
        *shipped.variables(dashboard),
        *shipped.variables(dashboard, "adhoc"),
        *dashboard["annotations"]["list"],
    ]

    assert [(each["name"], each["query"], each["label"]) for each in sources] == [
        ("datasource", "prometheus", "Data source")
    ]
    assert [each for each in users if each["datasource"] != DATASOURCE] == []


def test_a_panel_answers_a_question(dashboard: shipped.Json) -> None:
    panels = list(shipped.panels(dashboard))

    assert len(panels) in PANELS_SHOWN
    assert [title for title, many in Counter(titles(iter(panels))).items() if many > 1] == []
    unnamed = re.compile(r"Panel Title|New panel|$")
    assert [each["title"] for each in panels if unnamed.match(each["title"])] == []
    assert [each["title"] for each in panels if len(each["description"]) < 40] == []
    assert [each["title"] for each in panels if not each["description"].endswith(".")] == []


def test_a_panel_has_queries_a_unit_and_words_for_nothing(dashboard: shipped.Json) -> None:
    panels = list(asking(dashboard))
    defaults = [(each["title"], each["fieldConfig"]["defaults"]) for each in panels]
    overridden = [
        (panel["title"], each["value"])
        for panel in panels
        for override in panel["fieldConfig"]["overrides"]
        for each in override["properties"]
        if each["id"] == "unit"
    ]

    assert [each["title"] for each in panels if not each["targets"]] == []
    assert [title for title, each in defaults if each["unit"] not in shape.UNITS] == []
    assert [place for place in overridden if place[1] not in shape.UNITS] == []
    assert [title for title, each in defaults if not each["noValue"]] == []


def test_ids_are_one_each_and_stay(dashboard: shipped.Json) -> None:
    rows = [panel for panel in dashboard["panels"] if panel["type"] == "row"]
    ids = Counter(panel["id"] for panel in (*rows, *shipped.panels(dashboard)))
    refs = [
        panel["title"]
        for panel in shipped.panels(dashboard)
        if len({target["refId"] for target in panel["targets"]}) < len(panel["targets"])
    ]

    assert [number for number, many in ids.items() if many > 1] == []
    assert refs == []


def test_no_panel_lies_on_another(dashboard: shipped.Json) -> None:
    areas = [(panel["title"], panel["gridPos"]) for panel in dashboard["panels"]]

    def meet(one: dict[str, int], other: dict[str, int]) -> bool:
        return (
            one["x"] < other["x"] + other["w"]
            and other["x"] < one["x"] + one["w"]
            and one["y"] < other["y"] + other["h"]
            and other["y"] < one["y"] + one["h"]
        )

    pairs = itertools.combinations(areas, 2)
    assert [(one[0], other[0]) for one, other in pairs if meet(one[1], other[1])] == []
    assert [title for title, area in areas if area["x"] + area["w"] > COLUMNS] == []


def test_variables_are_read_anew_with_the_time_range(dashboard: shipped.Json) -> None:
    assert {each["refresh"] for each in shipped.variables(dashboard)} <= {2}
    many = [each for each in shipped.variables(dashboard) if each["includeAll"]]
    assert [each["name"] for each in many if each["allValue"] != ".*" or not each["multi"]] == []


def test_every_variable_is_there_and_used(dashboard: shipped.Json) -> None:
    defined = {each["name"] for each in dashboard["templating"]["list"]}
    used = references([target.expr for target in shipped.everything(dashboard)])
    text = json.dumps(dashboard["panels"])

    assert used - MACROS - defined == set()
    named = references([text])
    assert [
        each["name"] for each in shipped.variables(dashboard) if each["name"] not in named
    ] == []


def test_queries_filter_by_a_variable_only_as_one_of_many(dashboard: shipped.Json) -> None:
    # `=` would take a list of values, escaped for a regular expression, literally.
    single = {each["name"] for each in shipped.variables(dashboard) if not each["multi"]}
    found = [
        (target.place, f"{label}{operator}")
        for target in shipped.everything(dashboard)
        for label, operator, value in re.findall(r'(\w+)(=~|=|!=|!~)"([^"]*)"', target.expr)
        if references([value]) - single and operator not in {"=~", "!~"}
    ]

    assert found == []


def test_at_most_so_many_series_are_drawn(dashboard: shipped.Json) -> None:
    # Who groups by a label that has as many values as somebody likes names a limit.
    free = "|".join(LABEL_BY_VARIABLE.values())
    unbounded = [
        f"{panel['title']} / {target['refId']}"
        for panel in asking(dashboard)
        for target in panel["targets"]
        if panel["type"] != "table"
        and re.search(rf"\{{\{{ *(?:{free}) *\}}\}}", target["legendFormat"])
        and not re.search(r"\b(?:topk|bottomk|limitk)\b", target["expr"])
        and f"{panel['title']} / {target['refId']}" not in BOUNDED_OTHERWISE
    ]

    assert unbounded == []


def test_colours_change_where_alerts_fire(dashboard: shipped.Json) -> None:
    constants = {value for value in vars(limits).values() if isinstance(value, int | float)}
    by_hand = {0, 1, FLAT, -FLAT}
    found = {
        (panel["title"], step["value"])
        for panel in asking(dashboard)
        for thresholds in thresholds_of(panel)
        for step in thresholds["steps"]
        if step["value"] is not None
    }

    assert [place for place in sorted(found) if place[1] not in constants | by_hand] == []


def thresholds_of(panel: shipped.Json) -> list[shipped.Json]:
    properties = [
        each for override in panel["fieldConfig"]["overrides"] for each in override["properties"]
    ]
    overridden = [each["value"] for each in properties if each["id"] == "thresholds"]
    return [panel["fieldConfig"]["defaults"]["thresholds"], *overridden]
