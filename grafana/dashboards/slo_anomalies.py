"""SLO and anomalies: the row of what is unusual, against the mean of seven days."""

from grafana import by_feature, limits
from grafana.frame import offered
from grafana.panels import (
    BAD,
    COST,
    GOOD,
    UNTAGGED,
    WARN,
    Json,
    Look,
    Query,
    Row,
    Step,
    bars,
    lines,
    matching,
)
from grafana.queries import AT_END, FEATURE, PERIOD, leading, named, or_zero
from grafana.tables import Column, by_label
from spanmeter_gateway.alerting import series
from spanmeter_gateway.alerting.anomalies import BASELINE_INTERVAL_S
from spanmeter_gateway.alerting.anomaly_values import ANOMALY, BUCKET_S, SCOPE
from spanmeter_gateway.alerting.rule import DAY_S, REAL

_TEXTS = {
    "Cost": "cost",
    "p95 wait": "latency",
    "Failed calls": "errors",
    "Calls": "calls",
    "Answered by another model": "drift",
}
VARIABLE = offered("anomaly", "Anomaly of", _TEXTS)
_TOGETHER = "all features together"
_OF = f'{{{FEATURE}=~"$feature"}}'
_CHOSEN = f'{{{ANOMALY}=~"$anomaly",{FEATURE}=~"$feature"}}'
_KEY = f"{ANOMALY}, {SCOPE}, {FEATURE}"
_STEP = REAL.range(BUCKET_S)
_HELD = REAL.range(2 * BASELINE_INTERVAL_S)


def _named(expr: str) -> str:
    return named(expr, FEATURE, _TOGETHER)


def _baseline(recorded: str, selector: str = _CHOSEN, *, at: str = "") -> str:
    # Recorded once an hour: between two of them there is nothing to see.
    return f"last_over_time({recorded}{selector}[{_HELD}]{at and f' {at}'})"


def _open(*kept: str) -> str:
    return f"max by ({', '.join((_KEY, *kept))}) ({series.ANOMALY}{_OF})"


def _of_open(expr: str) -> str:
    return _named(f"max by ({_KEY}) ({expr})\n  and on ({_KEY}) {_open()}")


def _lasting() -> str:
    level = f"count_over_time(({series.ANOMALY_LEVEL}{_OF} > 0)[{REAL.range(DAY_S)}:{_STEP}])"
    # One that opened a moment ago is in no step yet.
    lasted = or_zero(f"{BUCKET_S} * max by ({_KEY}) ({level})", _open(), ANOMALY, SCOPE, FEATURE)
    return _named(f"{_open('level')} * on ({_KEY}) group_left () {lasted}")


_SIGMAS = (
    Step(GOOD),
    Step("yellow", limits.SIGMA_WARNING),
    Step(WARN, limits.SIGMA_HIGH),
    Step(BAD, limits.SIGMA_CRITICAL),
)


def _shown(recorded: str) -> str:
    # All features together make the most calls, so All shows them, and one feature itself.
    largest = _baseline(series.ANOMALY_VOLUME, _OF, at=AT_END)
    return _named(leading(recorded, largest, SCOPE, FEATURE, shown=1))


def _around(sign: str) -> str:
    mean, stddev = _baseline(series.ANOMALY_MEAN), _baseline(series.ANOMALY_STDDEV)
    return f"clamp_min({mean} {sign} {limits.SIGMA_WARNING} * {stddev}, 0)"


def _dashed(name: str) -> Json:
    return matching(
        name,
        color={"mode": "fixed", "fixedColor": UNTAGGED},
        custom__lineStyle={"fill": "dash", "dash": [8, 6]},
        custom__fillOpacity=0,
    )


_LEGEND = f"{{{{{ANOMALY}}}}} of {{{{{FEATURE}}}}}"
_UNITS = (
    matching("^cost", unit="currencyUSD"),
    matching("^latency", unit="s"),
    matching("^(errors|drift)", unit="percentunit"),
)
_FARTHEST = f"max_over_time(abs({series.ANOMALY_SIGMA}{_CHOSEN})[{PERIOD}:{_STEP}] {AT_END})"
ANOMALIES = Row(
    "Anomalies",
    (
        by_label(
            "open",
            "What is unusual now?",
            FEATURE,
            head="Feature",
            further={ANOMALY: "Anomaly of", SCOPE: "Scope", "level": "Level"},
            description="Anomalies of the chosen features that are open at the end of the time "
            "range: the value was over 2 standard deviations from the mean of 7 days, and unlike "
            "the same time of each of them, twice in a row; high from 3 on, critical from 4 on. It "
            "closes after three usual values. Unusual on purpose? Add an exclusion to slo.yaml.",
            width=12,
            height=9,
            sort_by="Standard deviations",
            look=Look(no_value="nothing is unusual"),
            columns=(
                Column(name="Open for, of a day", expr=_lasting(), unit="s", decimals=0),
                Column(
                    name="Standard deviations",
                    expr=_of_open(f"{series.ANOMALY_SIGMA}{_OF}"),
                    decimals=1,
                    steps=_SIGMAS,
                ),
                Column(
                    name="Times the mean",
                    expr=_of_open(
                        f"{series.ANOMALY_VALUE}{_OF} / ({_baseline(series.ANOMALY_MEAN, _OF)} > 0)"
                    ),
                    decimals=1,
                ),
            ),
            overrides=(by_feature.CELL,),
        ),
        lines(
            "value",
            "What is it, and what is usual?",
            description="The value of each 5 minutes (waits: of 15), the mean of the last 7 days, "
            "and 2 standard deviations above and below it: beyond is unusual. Of what is chosen "
            "above as Anomaly of; with All of all features together, of several features the one "
            "with the most calls. Cost is US dollars in 5 minutes. Purple marks are anomalies.",
            look=Look(
                decimals=2, no_value="no value: fewer than 20 calls in 5 minutes, or no rules"
            ),
            queries=(
                Query(_shown(f"{series.ANOMALY_VALUE}{_CHOSEN}"), _LEGEND),
                Query(_shown(_baseline(series.ANOMALY_MEAN)), f"{_LEGEND}: mean of 7 days"),
                Query(_shown(_around("+")), f"{_LEGEND}: unusual above"),
                Query(_shown(_around("-")), f"{_LEGEND}: unusual below"),
            ),
            overrides=(*_UNITS, _dashed("(mean of 7 days|unusual above|unusual below)$")),
            width=12,
            height=9,
        ),
        lines(
            "sigma",
            "How far from usual is each feature?",
            description="How many standard deviations the value is from the mean of 7 days, of "
            "what is chosen above as Anomaly of; the dashed lines are where it is a warning, high "
            "and critical. Only calls are unusual below the mean, too. The ten features that were "
            "the farthest away in the time range.",
            look=Look(
                decimals=1,
                steps=_SIGMAS,
                minimum=None,
                no_value="a baseline needs 48 hours of traffic",
            ),
            queries=(
                Query(
                    _named(
                        leading(
                            f"max by ({SCOPE}, {FEATURE}) ({series.ANOMALY_SIGMA}{_CHOSEN})",
                            f"max by ({SCOPE}, {FEATURE}) ({_FARTHEST})",
                            SCOPE,
                            FEATURE,
                        )
                    ),
                    by_feature.LEGEND,
                ),
            ),
            overrides=(by_feature.GREY,),
            links=(by_feature.DRILL,),
        ),
        bars(
            "warm-up",
            "Who has no baseline yet?",
            description="Hours of traffic that a feature still needs before its values are "
            "compared with its past: it needs 48, and 200 calls in 7 days; one with fewer is "
            "watched together with all others only. The ten that need the most.",
            look=Look(
                unit="h", decimals=0, steps=(Step(COST),), no_value="every feature has a baseline"
            ),
            queries=(
                Query(
                    "topk(10, "
                    + _named(f"max by ({FEATURE}) ({_baseline(series.ANOMALY_WARM_UP, _OF)} > 0)")
                    + ")",
                    by_feature.LEGEND,
                    is_instant=True,
                ),
            ),
        ),
        lines(
            "excluded",
            "When is nothing learned, and nothing told?",
            description="How many values were in a window of `exclusions` in slo.yaml, by "
            "what the window is for: they are told to nobody and change no baseline. Nothing here "
            "in spite of a window: build the rules anew (spanmeter rules build).",
            look=Look(decimals=0, no_value="no window in this time range"),
            queries=(
                Query(
                    f"count by ({ANOMALY}) ({series.ANOMALY_EXCLUDED}{_OF})", f"{{{{{ANOMALY}}}}}"
                ),
            ),
        ),
    ),
)
