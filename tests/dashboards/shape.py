"""What a dashboard's JSON must look like: required keys, their types, the units that Grafana has.

Source: Grafana's documentation, "Dashboard JSON model"; of the units packages/grafana-data/src/
valueFormats/categories.ts.
"""

from collections.abc import Mapping
from typing import Any

Shape = Mapping[str, type | tuple[type, ...]]

DASHBOARD: Shape = {
    "uid": str, "title": str, "description": str, "tags": list, "schemaVersion": int,
    "version": int, "editable": bool, "timezone": str, "time": dict, "refresh": str,
    "annotations": dict, "templating": dict, "panels": list, "links": list,
}  # fmt: skip
PANEL: Shape = {
    "id": int, "type": str, "title": str, "description": str, "gridPos": dict, "datasource": dict,
    "targets": list, "fieldConfig": dict, "options": dict, "transformations": list,
}  # fmt: skip
ROW: Shape = {"id": int, "type": str, "title": str, "collapsed": bool, "gridPos": dict}
TARGET: Shape = {"refId": str, "expr": str, "datasource": dict, "instant": bool, "range": bool}
PLACE: Shape = {"x": int, "y": int, "w": int, "h": int}
VARIABLE: Shape = {"name": str, "label": str, "type": str, "hide": int}
QUERY_VARIABLE: Shape = VARIABLE | {
    "datasource": dict, "query": dict, "refresh": int, "multi": bool, "includeAll": bool,
}  # fmt: skip
ANNOTATION: Shape = {"name": str, "datasource": dict, "expr": str, "enable": bool}
KINDS = frozenset(
    {"stat", "timeseries", "table", "bargauge", "text", "alertlist", "piechart", "gauge"}
    | {"heatmap", "state-timeline", "barchart"}
)
UNITS = frozenset(
    {"none", "short", "string", "locale", "percent", "percentunit", "bool", "bool_yes_no"}
    | {"bool_on_off", "bytes", "decbytes", "ns", "ms", "s", "m", "h", "d", "dtdurations"}
    | {"currencyUSD", "ops", "reqps", "cps", "rps", "wps", "opm", "cpm", "Bps", "binBps"}
    | {"dateTimeAsIso", "dateTimeAsLocal", "dateTimeFromNow"}
)


def wrong(value: Mapping[str, Any], shape: Shape) -> list[str]:
    """List the keys that are missing or of another type."""
    return [
        key
        for key, kind in shape.items()
        if not isinstance(value.get(key), kind) or (kind is int and isinstance(value[key], bool))
    ]
