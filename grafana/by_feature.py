"""What several dashboards show by feature: a line each, and the way to the feature in depth."""

from dataclasses import replace

from grafana import limits, sources
from grafana.panels import UNTAGGED, Look, Panel, Query, column, drill, limit, lines
from grafana.queries import (
    AT_END,
    FEATURE,
    calls,
    error_ratio,
    failed_calls,
    leading,
    per_second,
    read,
    spend,
    wait_p95,
    waited,
)
from spanmeter_gateway.alerting import places

LEGEND = f"{{{{{FEATURE}}}}}"
_TITLE = "This feature in depth"
DRILL = drill(_TITLE, places.FEATURE, feature=f"${{__field.labels.{FEATURE}:percentencode}}")
"""From a line or a bar."""
CELL = column(
    "Feature",
    links=[drill(_TITLE, places.FEATURE, feature="${__value.raw:percentencode}")],
)
"""From a table's column `Feature`."""
GREY = column("untagged", color={"mode": "fixed", "fixedColor": UNTAGGED})
GREY_LINE = column(
    "untagged",
    color={"mode": "fixed", "fixedColor": UNTAGGED},
    custom__lineStyle={"fill": "dash", "dash": [8, 6]},
)
_TEN = "The ten features that lead over the time range."
_BY_SPEND = spend(FEATURE, offset=AT_END)
_BY_CALLS = calls(FEATURE, offset=AT_END)
# Not `_BY_CALLS`: each exemplar of what is read becomes a dot, and those of calls are no waits.
_BY_WAITS = waited(FEATURE, offset=AT_END)
_BY_FAULTS = failed_calls(FEATURE, offset=AT_END)


def spend_rate() -> Panel:
    """Draw the pace of spending."""
    return _drawn(
        lines(
            "spend-rate",
            "Which feature spends how much an hour?",
            description=f"US dollars an hour at the pace of each moment. {_TEN} A step: look who "
            "deployed, then at the feature's models.",
            look=Look(unit="currencyUSD", decimals=2),
            is_stacked=True,
        ),
        f"3600 * {per_second(read(sources.COST), FEATURE)}",
        _BY_SPEND,
    )


def call_rate() -> Panel:
    """Draw how often each is called."""
    return _drawn(
        lines(
            "call-rate",
            "Which feature makes how many calls a minute?",
            description=f"Calls that ended, whatever their outcome. {_TEN} Spend that rises while "
            "calls do not: a dearer model or longer prompts.",
            look=Look(decimals=1),
            is_stacked=True,
        ),
        f"60 * {per_second(read(sources.CALLS), FEATURE)}",
        _BY_CALLS,
    )


def errors() -> Panel:
    """Draw which share of the calls fails."""
    return _drawn(
        lines(
            "errors",
            "Which feature fails?",
            description="Share of calls that failed by a fault of the provider or the gateway; of "
            "few calls one failure is much. The dashed line is the default objective. The ten "
            "features with the most failures over the time range.",
            look=Look(
                unit="percentunit",
                decimals=1,
                steps=limit(limits.ERROR_RATIO),
                no_value="no calls in this time range",
            ),
        ),
        error_ratio(FEATURE, is_rate=True),
        _BY_FAULTS,
    )


def waits() -> Panel:
    """Draw what almost every caller waits at most."""
    return _drawn(
        lines(
            "wait",
            "Whose callers wait long?",
            description="What 95 of 100 callers whose call went well waited at most. Of few calls "
            "it is noise: look at their number. The dashed line is the default objective. The ten "
            "features with the most calls over the time range; a dot leads to a trace, in ranges "
            "of up to 12 hours. Waits are not counted by task.",
            look=Look(
                unit="s",
                decimals=1,
                steps=limit(limits.P95_S),
                no_value="no calls in this time range",
            ),
        ),
        wait_p95(FEATURE),
        _BY_WAITS,
        has_exemplars=True,
    )


def _drawn(panel: Panel, expr: str, ranked_by: str, *, has_exemplars: bool = False) -> Panel:
    query = Query(leading(expr, ranked_by, FEATURE), LEGEND, has_exemplars=has_exemplars)
    return replace(panel, queries=(query,), overrides=(GREY_LINE,), links=(DRILL,), width=12)
