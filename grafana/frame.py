"""What all dashboards have in common: variables, annotations, links, the file's outer shape."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from grafana import sources
from grafana.panels import DATASOURCE, Json, Panel, Row, laid_out
from grafana.queries import LABEL_BY_VARIABLE, ONE_FEATURE, TAG_KEYS, labels_of, tag_variable
from grafana.sources import Source
from spanmeter_gateway.alerting import series
from spanmeter_gateway.telemetry import names

SCHEMA_VERSION = 39
"""Of Grafana 10; later ones read it and bring it up to date by themselves."""
FEATURE_VARIABLE = "feature"
FIRING = 'alertname=~"Spanmeter.*",alertstate="firing",severity!="none"'
"""Without the one that always fires, so that its absence is noticed."""
OF_NO_FEATURE = f'{LABEL_BY_VARIABLE[FEATURE_VARIABLE]}=""'
"""Alerts on the gateway itself: a dashboard without features marks no others."""
ALL = {"selected": True, "text": ["All"], "value": ["$__all"]}
TITLE_BY_UID = {
    "spanmeter-overview": "Overview",
    "spanmeter-features": "Features",
    "spanmeter-feature": "Feature in depth",
    "spanmeter-tags": "Tags",
    "spanmeter-models": "Models and providers",
    "spanmeter-slo": "SLO and anomalies",
    "spanmeter-pipeline": "Pipeline health",
}


_SUMS = {source.variable: source for source in sources.ALL}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """One dashboard. `variables` are those of `queries.LABEL_BY_VARIABLE` that its panels use."""

    uid: str
    description: str
    rows: tuple[Row, ...]
    variables: tuple[str, ...] = tuple(LABEL_BY_VARIABLE)
    """`queries.select` filters by all of them unless it is told by which."""
    own_variables: tuple[Json, ...] = ()
    has_ad_hoc_filters: bool = False
    """Only where every panel's metrics carry every label: the others would become empty."""
    is_of_one_feature: bool = False
    since: str = "now-24h"
    refresh: str = "1m"


def as_json(dashboard: Dashboard) -> Json:
    """Print a dashboard as Grafana imports it."""
    return {
        "uid": dashboard.uid,
        "title": f"Spanmeter / {TITLE_BY_UID[dashboard.uid]}",
        "description": dashboard.description,
        "tags": ["spanmeter"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "browser",
        "time": {"from": dashboard.since, "to": "now"},
        "refresh": dashboard.refresh,
        "timepicker": {},
        "links": [_menu()],
        "annotations": {"list": _annotations(dashboard)},
        "templating": {"list": _variables(dashboard)},
        "panels": laid_out(_paced(dashboard.rows), dashboard.uid),
    }


def _paced(rows: Sequence[Row]) -> tuple[Row, ...]:
    # Recorded sums are far apart: so are the moments of a line that may read them.
    return tuple(Row(row.title, tuple(map(_paced_panel, row.panels))) for row in rows)


def _paced_panel(panel: Panel) -> Panel:
    is_line = any(f"(rate(${source}{{" in query.expr for query in panel.queries for source in _SUMS)
    return replace(panel, max_points=sources.MAX_POINTS) if is_line else panel


def _menu() -> Json:
    return {
        "type": "dashboards", "title": "Spanmeter", "tags": ["spanmeter"], "asDropdown": True,
        "includeVars": True, "keepTime": True, "targetBlank": False, "icon": "external link",
        "tooltip": "", "url": "",
    }  # fmt: skip


def _chosen_feature(dashboard: Dashboard) -> str:
    if FEATURE_VARIABLE not in dashboard.variables:
        return ""
    if dashboard.is_of_one_feature:
        return ONE_FEATURE
    return f'{LABEL_BY_VARIABLE["feature"]}=~"${FEATURE_VARIABLE}"'


def _annotations(dashboard: Dashboard) -> list[Json]:
    chosen = _chosen_feature(dashboard)
    alerts = _annotation(
        "Alerts",
        f"ALERTS{{{FIRING},{chosen or OF_NO_FEATURE}}}",
        "red",
        "{{alertname}}",
        "{{severity}}",
    )
    if not chosen:
        return [alerts]
    anomalies = f"{series.ANOMALY}{{{chosen}}}"
    return [
        alerts,
        _annotation(
            "Anomalies", anomalies, "purple", "{{anomaly}} anomaly", "{{spanmeter_feature}}"
        ),
    ]


def _annotation(name: str, expr: str, color: str, *texts: str) -> Json:
    title, text = texts
    return {
        "name": name, "datasource": DATASOURCE, "enable": True, "iconColor": color, "expr": expr,
        "titleFormat": title, "textFormat": text, "step": "60s", "useValueForTime": False,
    }  # fmt: skip


def _variables(dashboard: Dashboard) -> list[Json]:
    found: list[Json] = [
        {
            "name": "datasource", "label": "Data source", "type": "datasource",
            "query": "prometheus", "refresh": 1, "hide": 0, "multi": False, "includeAll": False,
            "options": [], "regex": "", "current": {},
        }
    ]  # fmt: skip
    for name in dashboard.variables:
        is_single = dashboard.is_of_one_feature and name == FEATURE_VARIABLE
        found.append(_query_variable(name, dashboard, is_single=is_single))
    found += dashboard.own_variables
    found += [_source_variable(source, dashboard) for source in _read_by(dashboard)]
    if dashboard.has_ad_hoc_filters:
        found.append(
            {"name": "filters", "label": "Filter", "type": "adhoc", "datasource": DATASOURCE,
             "filters": [], "baseFilters": [], "hide": 0, "defaultKeys": _filter_keys()}
        )  # fmt: skip
    return found


def _read_by(dashboard: Dashboard) -> list[Source]:
    queries = [query for row in dashboard.rows for panel in row.panels for query in panel.queries]
    text = "".join(query.expr for query in queries)
    return [source for name, source in _SUMS.items() if f"${name}{{" in text]


def _source_variable(source: Source, dashboard: Dashboard) -> Json:
    kept = source.kept if source.kept is not None else frozenset(LABEL_BY_VARIABLE.values())
    others = tuple(
        name
        for name in dashboard.variables
        if LABEL_BY_VARIABLE[name] in labels_of(source.metric) - kept
    )
    query = f"query_result({sources.choice(source, others)})"
    shown = f'/{sources.SERIES}="([^"]+)"/'
    variable = queried(source.variable, source.variable, query, shown=shown, is_single=True)
    # Hidden, and out of the address: another range, or another Prometheus, has another answer.
    return variable | {
        "hide": 2,
        "skipUrlSync": True,
        "sort": 0,
        "current": {"selected": False, "text": source.raw, "value": source.raw},
    }


def _filter_keys() -> list[Json]:
    # Source: Grafana's dashboard-scene/utils/variables.ts, `defaultKeys`: what is offered instead
    # of every label that there is. Grafana 10 offers all.
    return [{"text": name, "value": carried} for name, carried in LABEL_BY_VARIABLE.items()]


def _query_variable(name: str, dashboard: Dashboard, *, is_single: bool) -> Json:
    # Models and tasks are listed for the chosen features only.
    chosen = _chosen_feature(dashboard) if name != FEATURE_VARIABLE else ""
    narrowed = (
        f"{names.CALLS.prometheus_name}{{{chosen}}}" if chosen else names.CALLS.prometheus_name
    )
    query = f"label_values({narrowed}, {LABEL_BY_VARIABLE[name]})"
    shown = "/.+/" if name != FEATURE_VARIABLE else ""
    return queried(name, _variable_title(name), query, shown=shown, is_single=is_single)


def queried(name: str, title: str, query: str, *, shown: str = "", is_single: bool = False) -> Json:
    """Make a variable whose values a query lists, of them those that `shown` matches."""
    variable: Json = {
        "name": name,
        "label": title,
        "type": "query",
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": "StandardVariableQuery"},
        "refresh": 2,  # with the time range
        "sort": 5,  # by name, whatever the case
        "regex": shown,
        "hide": 0,
        "skipUrlSync": False,
        "multi": not is_single,
        "includeAll": not is_single,
        "options": [],
        "current": {} if is_single else ALL,
    }
    # `.*` takes series that lack the label, too.
    return variable if is_single else variable | {"allValue": ".*"}


def offered(name: str, title: str, value_by_text: Mapping[str, str]) -> Json:
    """Make a variable of one of these values, the first unless another is chosen."""
    options = [
        {"text": text, "value": value, "selected": place == 0}
        for place, (text, value) in enumerate(value_by_text.items())
    ]
    return {
        "name": name,
        "label": title,
        "type": "custom",
        # Source: Grafana's documentation, "Add a custom variable": `name : value`.
        "query": ", ".join(f"{text} : {value}" for text, value in value_by_text.items()),
        "options": options,
        "current": options[0],
        "multi": False,
        "includeAll": False,
        "hide": 0,
        "skipUrlSync": False,
    }


def _variable_title(name: str) -> str:
    keys = {tag_variable(key): key for key in TAG_KEYS}
    return keys.get(name, name.capitalize())


def uids(dashboards: Sequence[Dashboard]) -> list[str]:
    """List the uids, which links and alerts use."""
    return [dashboard.uid for dashboard in dashboards]
