"""The pieces that dashboards are made of: selections, tables, numbers with their change."""

from tests.dashboards.grafana_queries import Window, references

from grafana import by_feature, panels, queries, sources, tables
from grafana.frame import Dashboard, as_json
from grafana.panels import Row, Step
from spanmeter_gateway.alerting.sums import INTERVAL_S, SELDOM_S
from spanmeter_gateway.telemetry import names


def organised(panel: panels.Panel) -> dict[str, object]:
    return dict(panel.transformations[-1]["options"])


def arrow(value: float, mappings: list[panels.Json]) -> str:
    ranges = [each["options"] for each in mappings]
    [text, *_] = [each["result"]["text"] for each in ranges if each["from"] <= value <= each["to"]]
    return str(text)


def test_a_selection_filters_by_the_labels_that_its_metric_has() -> None:
    selected = queries.select(names.CALL_DURATION, part="_count")

    assert '$task"' not in selected
    assert 'spanmeter_feature=~"$feature"' in selected
    assert 'spanmeter_tag_env=~"$tag_env"' in selected


def test_a_matcher_takes_the_place_of_its_variable() -> None:
    selected = queries.select(names.CALLS, queries.ONE_FEATURE)

    assert selected.count("spanmeter_feature") == 1
    assert 'spanmeter_feature="$feature"' in selected


def test_a_matcher_that_leaves_out_a_value_keeps_its_variable() -> None:
    selected = queries.select(names.CALLS, 'spanmeter_tag_env!=""')

    assert 'spanmeter_tag_env=~"$tag_env"' in selected
    assert 'spanmeter_tag_env!=""' in selected


def test_the_features_that_lead_are_the_same_for_a_whole_line() -> None:
    [query] = by_feature.spend_rate().queries

    assert "topk(10, sum by (spanmeter_feature) (increase(" in query.expr
    assert query.expr.endswith("[$__range] @ end())))")


def test_dots_on_a_line_of_waits_are_waits() -> None:
    # Prometheus gives the exemplars of every series that the expression reads.
    [query] = by_feature.waits().queries

    read = {source.variable for source in sources.ALL} & references([query.expr])
    assert query.has_exemplars
    assert [metric.name for metric in names.METRICS if metric.prometheus_name in query.expr] == []
    assert read == {sources.WAITS.variable}


def test_a_line_that_may_read_recorded_sums_has_two_of_them_in_each_window() -> None:
    rows = (Row("Row", (by_feature.call_rate(), panels.lines("b", "B?", description=""))),)
    dashboard = as_json(Dashboard(uid="spanmeter-feature", description="", rows=rows))
    paced, wide = (each.get("maxDataPoints") for each in dashboard["panels"][1:])
    summed, copied = (
        Window(until_s=0, range_s=range_s + 1, scrape_s=15, max_points=paced)
        for range_s in (sources.LONG_S, sources.LONGER_S)
    )

    assert summed.rate_interval_s >= 2 * INTERVAL_S
    assert copied.rate_interval_s >= 2 * SELDOM_S
    assert wide is None


def test_a_sum_asks_for_the_metric_where_the_metric_alone_has_the_label() -> None:
    by_error = queries.calls(queries.ERROR)
    of_outcome = queries.calls(matchers=('spanmeter_outcome="ok"',))
    by_task = queries.calls(queries.TASK, matchers=(queries.ONE_FEATURE,))

    assert "increase(spanmeter_calls_total{" in by_error
    assert "increase(spanmeter_calls_total{" in of_outcome
    assert "increase($calls{" in by_task


def test_a_dashboard_has_the_hidden_variables_that_it_reads() -> None:
    rows = (Row("Row", (by_feature.waits(),)),)
    dashboard = as_json(Dashboard(uid="spanmeter-features", description="", rows=rows))

    hidden = [each for each in dashboard["templating"]["list"] if each["hide"] == 2]
    assert [each["name"] for each in hidden] == ["waits"]
    assert hidden[0]["skipUrlSync"] is True
    assert '"${provider}${model}${tag_env}' in hidden[0]["definition"]


def test_an_arrow_is_flat_within_one_percent() -> None:
    column = tables.Column(name="since", expr="up", is_arrow=True)
    panel = tables.by_label("a", "A?", "job", head="Job", columns=(column,), description="")
    [mappings] = [
        each["value"]
        for override in panel.overrides
        for each in override["properties"]
        if each["id"] == "mappings"
    ]

    shown = {value: arrow(value, mappings) for value in (-1, -0.02, -0.01, 0, 0.01, 0.02, 900)}

    up, down, flat = "\u25b2", "\u25bc", "\u25b6"
    assert shown == {-1: down, -0.02: down, -0.01: flat, 0: flat, 0.01: flat, 0.02: up, 900: up}


def test_a_table_names_the_columns_that_grafana_numbers() -> None:
    columns = (tables.Column(name="Calls", expr="a"), tables.Column(name="Cost", expr="b"))
    panel = tables.by_label("a", "A?", "job", head="Job", columns=columns, description="")

    assert panel.transformations[0]["id"] == "joinByField"
    assert organised(panel) == {
        "excludeByName": {"Time": True, "Time 1": True, "Time 2": True},
        "indexByName": {"job": 0, "Value #A": 1, "Value #B": 2},
        "renameByName": {"job": "Job", "Value #A": "Calls", "Value #B": "Cost"},
    }


def test_a_table_of_two_labels_has_a_row_for_each_pair() -> None:
    column = tables.Column(name="Calls", expr="a")
    panel = tables.by_label(
        "a",
        "A?",
        "job",
        head="Job",
        further={"instance": "Instance"},
        columns=(column,),
        description="",
    )

    assert panel.transformations[0] == {"id": "merge", "options": {}}
    assert organised(panel)["indexByName"] == {"job": 0, "instance": 1, "Value": 2, "Value #A": 3}


def test_a_limit_is_drawn_where_the_values_are_lines() -> None:
    look = panels.Look(steps=panels.limit(5))
    drawn = panels.as_json(panels.lines("a", "A?", description="", look=look), "uid")
    plain = panels.as_json(panels.lines("b", "B?", description=""), "uid")
    number = panels.as_json(panels.stat("c", "C?", description="", look=look), "uid")

    assert drawn["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"] == {"mode": "dashed"}
    assert plain["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"] == {"mode": "off"}
    assert "custom" not in number["fieldConfig"]["defaults"]


def test_a_dashboard_of_one_feature_takes_its_name_literally() -> None:
    panel = panels.stat("a", "A?", description="", look=panels.Look(steps=(Step("blue"),)))
    rows = (Row("Row", (panel,)),)

    one = as_json(
        Dashboard(uid="spanmeter-feature", description="", rows=rows, is_of_one_feature=True)
    )
    many = as_json(Dashboard(uid="spanmeter-features", description="", rows=rows))

    def asked(dashboard: panels.Json) -> set[bool]:
        narrowed = [*dashboard["annotations"]["list"], *dashboard["templating"]["list"][2:]]
        texts = [each.get("expr") or each["definition"] for each in narrowed]
        return {'spanmeter_feature="$feature"' in text for text in texts}

    assert asked(one) == {True}
    assert asked(many) == {False}
