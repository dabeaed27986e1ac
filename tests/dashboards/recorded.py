"""The recorded series and alerts by the labels that they carry, with plausible values.

A series' labels follow from its name's first part, as Prometheus advises to name them. A test holds
that against what the shipped rules really record.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import Any

from tests.dashboards.fleet import Pair, Series, series_of

from grafana import sources
from grafana.queries import LABEL_BY_VARIABLE
from grafana.sources import Source
from spanmeter_gateway.alerting import build, series
from spanmeter_gateway.alerting.promql import FEATURE, MODEL, OUTCOME, PROVIDER, TEAM
from spanmeter_gateway.alerting.rule import Recording
from spanmeter_gateway.alerting.slo import Exclusion, Slo
from spanmeter_gateway.telemetry import names as telemetry
from spanmeter_gateway.telemetry.names import label

_SCRAPED = ("job", "instance")
LABELS_BY_LEVEL: dict[str, tuple[str, ...]] = {
    "spanmeter": (),
    "feature": (FEATURE,),
    "feature_outcome": (FEATURE, OUTCOME),
    "feature_month": (FEATURE, "month"),
    "feature_instance": (FEATURE, *_SCRAPED),
    "feature_reason": (FEATURE, "reason"),
    "feature_models": (FEATURE, MODEL, label(telemetry.RESPONSE_MODEL)),
    "provider_model_reason": (PROVIDER, MODEL, "reason"),
    "scope": ("scope", "name", TEAM, FEATURE),
    "spanmeter_anomaly": ("anomaly", "scope", FEATURE),
    "tagged_instance": (*LABEL_BY_VARIABLE.values(), *_SCRAPED),
    "provider_model_instance": (PROVIDER, MODEL, *_SCRAPED),
    "provider_model_reason_instance": (PROVIDER, MODEL, "reason", *_SCRAPED),
    "provider_models_instance": (PROVIDER, MODEL, label(telemetry.RESPONSE_MODEL), *_SCRAPED),
    "provider_error_instance": (PROVIDER, label(telemetry.ERROR_TYPE), *_SCRAPED),
}
_BUCKETS = (series.SUM_WAITS_BY_FEATURE, series.SUM_WAITS_BY_MODEL, series.SUM_FIRST_CHUNKS)
MORE_LABELS = {
    series.TEAM_INFO: (TEAM,),
    **dict.fromkeys((*_BUCKETS, *map(series.seldom, _BUCKETS)), ("le",)),
}
ALERTS, SINCE = "ALERTS", "ALERTS_FOR_STATE"
"""What Prometheus says of alerts: that they are active, and from which moment on."""
ALERT_LABELS = ("alertname", "alertstate", "severity", TEAM, FEATURE, "anomaly", "scope")
ANOMALY_LABELS = ("anomaly", "scope", FEATURE, "level")
ABSENT = frozenset({series.BOOKS_BEHIND})
"""What is only there in trouble."""
_VALUES = {
    FEATURE: (),
    OUTCOME: ("ok", "caller_error", "policy_denied", "provider_error", "gateway_error"),
    "month": ("11",),
    "reason": ("unknown_model", "not_reported"),
    "scope": ("all", "team", "feature"),
    "name": ("all", "payments", "untagged"),
    TEAM: ("platform",),
    "anomaly": ("cost", "latency", "errors", "calls", "drift"),
    "severity": ("high",),
    "level": ("high",),
    "alertname": ("SpanmeterErrorBudgetBurnFast", "SpanmeterCostSpike"),
    "alertstate": ("firing",),
}
_LEVELS = {
    series.CALL_P95_10M: 6.0,
    series.FIRST_CHUNK_P95_10M: 1.5,
    series.ERROR_BUDGET: 0.01,
    series.BUDGET_LEFT: 0.4,
    series.CALL_OBJECTIVE: 20.0,
    series.FIRST_CHUNK_OBJECTIVE: 5.12,
    series.ANOMALY_SIGMA: 3.4,
    series.ANOMALY_EXCLUDED: 1.0,
}


@cache
def names() -> tuple[str, ...]:
    """List every series that the rules record, those of budgets and exclusions too."""
    slo = Slo(month_usd=Decimal(1000), exclusions=(Exclusion(begin_s=0, end_s=1),))
    files = build.groups(slo)
    groups = [group for found in files.values() for group in found]
    rules = [rule for group in groups for rule in group.rules if isinstance(rule, Recording)]
    return tuple(dict.fromkeys((*(rule.record for rule in rules), series.ANOMALY)))


def labels_of(name: str) -> tuple[str, ...]:
    """List the labels of a recorded series, of what is said of alerts, and of `ANOMALY`."""
    if name == ALERTS:
        return ALERT_LABELS
    if name == SINCE:
        return tuple(label for label in ALERT_LABELS if label != "alertstate")
    if name == series.ANOMALY:
        return ANOMALY_LABELS
    return (*LABELS_BY_LEVEL[name.partition(":")[0]], *MORE_LABELS.get(name, ()))


def all_series(fleet: list[Pair], read: str) -> Iterator[Series]:
    """List every recorded series of a fleet whose name stands in `read`."""
    sums = {name: source for source in sources.ALL for name in (source.recorded, source.seldom)}
    for name in (*names(), ALERTS, SINCE):
        if name not in read or name in ABSENT:
            continue
        yield from _sums(name, sums[name], fleet) if name in sums else _series(name, fleet)


def _sums(record: str, source: Source, fleet: list[Pair]) -> Iterator[Series]:
    """Add up what the metric's series grow by, as the rules do."""
    own = labels_of(record)
    matched, _, values = source.matcher.partition("=~")
    found: dict[tuple[tuple[str, str], ...], float] = defaultdict(float)
    for each in series_of(source.metric, fleet):
        if each.name == source.raw and (
            not values or re.fullmatch(values.strip('"'), each.labels[matched])
        ):
            kept = tuple((name, each.labels[name]) for name in own if each.labels.get(name))
            found[kept] += each.per_hour
    for labels, per_hour in found.items():
        yield Series(record, dict(labels), per_hour)


def _series(name: str, fleet: list[Pair]) -> Iterator[Series]:
    own = labels_of(name)
    level = _LEVELS.get(name, 0.03 if "ratio" in name else 1.0)
    found: dict[tuple[Any, ...], Series] = {}
    for pair in fleet:
        for place in range(max(len(_VALUES.get(each, ())) for each in (*own, FEATURE)) or 1):
            labels = {
                each: pair.labels.get(each) or _VALUES[each][place % len(_VALUES[each])]
                for each in own
            }
            found[tuple(labels.items())] = Series(name, labels, level=level)
    yield from found.values()
