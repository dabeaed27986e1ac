"""Every expression of every dashboard, read by Prometheus' own parser and held to the contract."""

import re
import urllib.parse
from collections.abc import Iterator, Mapping

import pytest
from tests.dashboards import contract, shipped
from tests.dashboards.grafana_queries import Choice, Window, references, substituted
from tests.dashboards.promql_tree import Node, result_labels, selectors
from tests.prometheus_process import PrometheusProcess

from grafana import sources
from grafana.queries import FEATURE, MODEL, PROVIDER, TAG_KEYS, tag_label
from spanmeter_gateway.telemetry import names

WINDOW = Window(until_s=0, range_s=86_413, scrape_s=17)
"""Odd lengths: what a query names itself cannot be taken for them."""
GROWTH = frozenset({"rate", "increase", "irate"})
WHOLE_COUNTS = frozenset({"group", "count", "absent", "absent_over_time", "count_over_time"})
"""Who look whether a series is there, not at its value."""
VALUES_OF_LABELS = set(re.findall(r"`([\w.]+)`", (shipped.ROOT / "docs/metrics.md").read_text()))
"""Names of lines: what a legend's label may be, as the page about metrics lists it."""
Parsed = list[tuple[shipped.Target, Node]]


@pytest.fixture(scope="module")
def prometheus() -> Iterator[PrometheusProcess]:
    with PrometheusProcess({}, program="prometheus3") as running:
        yield running


@pytest.fixture(scope="module", params=["raw", "recorded", "seldom"])
def parsed_by_uid(
    prometheus: PrometheusProcess, request: pytest.FixtureRequest
) -> dict[str, Parsed]:
    chosen = {
        each.variable: Choice((getattr(each, request.param),), None, is_many=False)
        for each in sources.ALL
    }
    return {uid: parse(prometheus, shipped.load(uid), chosen) for uid in shipped.UIDS}


def tree_of(prometheus: PrometheusProcess, query: str) -> Node:
    found: Node = prometheus.get(f"/api/v1/parse_query?{urllib.parse.urlencode({'query': query})}")
    return found


def parse(
    prometheus: PrometheusProcess, dashboard: shipped.Json, named: Mapping[str, Choice]
) -> Parsed:
    choices = {
        name: choice if choice.all_value or not choice.is_many else Choice(("x",))
        for name, choice in {**shipped.at_all(dashboard), **named}.items()
    }
    for each in dashboard["templating"]["list"]:
        choices.setdefault(each["name"], Choice(("x",)))
    return [
        (target, tree_of(prometheus, substituted(target.expr, choices, WINDOW)))
        for target in shipped.everything(dashboard)
    ]


@pytest.fixture(params=shipped.UIDS)
def parsed(request: pytest.FixtureRequest, parsed_by_uid: dict[str, Parsed]) -> Parsed:
    return parsed_by_uid[request.param]


def takes_all(matcher: Node) -> bool:
    """Say whether a matcher takes series without its label: a sum that lacks it is read then."""
    return matcher["type"] == "=~" and re.fullmatch(matcher["value"], "") is not None


def test_only_series_and_labels_that_exist_are_read(parsed: Parsed) -> None:
    unknown = [
        (target.place, f"{node['name']}: {matcher['name']}")
        for target, tree in parsed
        for node, _ in selectors(tree)
        for matcher in node["matchers"]
        if matcher["name"] not in contract.labels_of(node["name"]) | {"__name__"}
        and not (node["name"] in contract.RECORDED_COUNTERS and takes_all(matcher))
    ]

    assert unknown == []


def test_counters_are_read_by_their_growth_only(parsed: Parsed) -> None:
    raw = [
        (target.place, node["name"])
        for target, tree in parsed
        if target.label is None
        for node, above in selectors(tree)
        if contract.is_counter(node["name"])
        and not (above and above[-1]["type"] == "call" and above[-1]["func"]["name"] in GROWTH)
        and not any(each.get("op") in WHOLE_COUNTS for each in above[-1:])
    ]

    assert raw == []


def test_growth_is_of_the_range_or_of_the_rate_interval(parsed: Parsed) -> None:
    allowed_ms = {WINDOW.range_s * 1000, WINDOW.rate_interval_s * 1000}
    # Where the step is set, the window that leaves nothing out is the step.
    other = [
        (target.place, above[-1]["func"]["name"], node["range"] / 1000)
        for target, tree in parsed
        for node, above in selectors(tree)
        if node["type"] == "matrixSelector"
        and above[-1]["func"]["name"] in GROWTH
        and node["range"] not in allowed_ms | {target.min_step_s * 1000} - {0}
    ]

    assert other == []


def test_a_legend_names_labels_that_the_result_has(parsed: Parsed) -> None:
    wrong = [
        (target.place, name, sorted(labels))
        for target, tree in parsed
        if target.legend
        for labels in [result_labels(tree, contract.labels_of)]
        for name in re.findall(r"\{\{ *(\w+) *\}\}", target.legend)
        if name not in labels
    ]

    assert wrong == []


def test_what_is_grouped_or_joined_by_is_there(parsed: Parsed) -> None:
    assert [result_labels(tree, contract.labels_of) for _, tree in parsed]


@pytest.mark.parametrize("uid", shipped.UIDS)
def test_free_filters_stand_where_everything_read_has_the_labels(
    parsed_by_uid: dict[str, Parsed], uid: str
) -> None:
    # Grafana adds such a filter to every selector: what lacks the label becomes empty.
    filters = shipped.variables(shipped.load(uid), "adhoc")
    filterable = {*map(tag_label, TAG_KEYS), FEATURE, PROVIDER, MODEL} if filters else set()

    lacking = [
        (target.place, node["name"])
        for target, tree in parsed_by_uid[uid]
        for node, _ in selectors(tree)
        if target.place.partition(" ")[0] not in {"annotation", "variable"}
        and not filterable <= contract.labels_of(node["name"])
    ]
    assert lacking == []


@pytest.mark.parametrize("uid", shipped.UIDS)
def test_columns_that_are_named_exist(parsed_by_uid: dict[str, Parsed], uid: str) -> None:
    dashboard = shipped.load(uid)
    trees = {target.place: tree for target, tree in parsed_by_uid[uid]}

    wrong = [
        f"{panel['title']}: {name}"
        for panel in shipped.panels(dashboard)
        for name in unknown_columns(panel, trees)
    ]

    assert wrong == []


def unknown_columns(panel: shipped.Json, trees: dict[str, Node]) -> list[str]:
    labels: set[str] = set()
    known = {"Time", "Value"}
    for number, target in enumerate(panel["targets"]):
        labels |= result_labels(trees[f"{panel['title']} / {target['refId']}"], contract.labels_of)
        known |= {f"Value #{target['refId']}", f"Time {number + 1}", f"Value {number + 1}"}
        known |= {target["legendFormat"]} - {""}
    known |= labels
    named: set[str] = set()
    for each in panel["transformations"]:
        options = each["options"]
        renamed = options.get("renameByName", {})
        named |= {*renamed, *options.get("indexByName", {}), *options.get("excludeByName", {})}
        named |= {options["byField"]} if "byField" in options else set()
        known |= {*renamed.values(), *([options["alias"]] if "alias" in options else [])}
    overridden = {
        each["matcher"]["options"]
        for each in panel["fieldConfig"]["overrides"]
        if each["matcher"]["id"] == "byName"
    }
    if any("{{" in target["legendFormat"] for target in panel["targets"]):
        overridden -= VALUES_OF_LABELS
    return sorted((named | overridden) - known)


def test_the_queries_on_the_page_are_queries(prometheus: PrometheusProcess) -> None:
    page = (shipped.ROOT / "docs/dashboards.md").read_text()
    blocks = re.findall(r"```promql\n(.+?)```", page, re.DOTALL)
    choices = dict.fromkeys(references(blocks), Choice(("x",)))

    read = [
        result_labels(tree_of(prometheus, substituted(query, choices, WINDOW)), contract.labels_of)
        for block in blocks
        for query in re.split(r"^#.*$", block, flags=re.MULTILINE)
        if query.strip()
    ]
    assert len(read) > 6


def test_the_parser_tells_what_is_wrong(prometheus: PrometheusProcess) -> None:
    def labels(query: str) -> frozenset[str]:
        return result_labels(tree_of(prometheus, query), contract.labels_of)

    calls = names.CALLS.prometheus_name
    by_outcome = f"sum by (spanmeter_outcome) (rate({calls}[5m]))"
    assert labels(by_outcome) == {"spanmeter_outcome"}
    assert labels(f"{by_outcome} / on () group_left () sum(up)") == {"spanmeter_outcome"}
    assert labels(f"topk(3, {by_outcome} > 0)") == {"spanmeter_outcome"}
    with pytest.raises(LookupError, match="spanmeter_task"):
        labels(f"sum by (spanmeter_task) ({by_outcome})")
    with pytest.raises(LookupError, match="nothing_total"):
        labels("rate(nothing_total[5m])")
