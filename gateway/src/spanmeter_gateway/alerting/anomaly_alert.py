"""What is told of an open anomaly, and the marks of it on charts."""

from spanmeter_gateway.alerting import places, series
from spanmeter_gateway.alerting.anomaly_values import ANOMALY, SCOPE
from spanmeter_gateway.alerting.promql import FEATURE, TEAM, text, told
from spanmeter_gateway.alerting.rule import HOUR_S, MINUTE_S, Alert, Clock, Recording, Severity
from spanmeter_gateway.alerting.slo import AnomalyMetric, Slo

LEVELS: tuple[Severity, ...] = ("warning", "high", "critical")
"""Over 2, 3 and 4 standard deviations."""
EXPLAINED_S = 30 * MINUTE_S
"""What one feature explains is not told of all together, nor when the feature's end comes first."""
_TITLES: dict[AnomalyMetric, str] = {
    "cost": "Cost",
    "latency": "Latency",
    "errors": "The share of failed calls",
    "calls": "Traffic",
    "drift": "The share of calls answered by another model",
}
_AMOUNTS: dict[AnomalyMetric, str] = {
    "cost": '{{ printf "%.2f" (. | first | value) }} USD in 5 minutes',
    "latency": "{{ . | first | value | humanizeDuration }} for 95 of 100 calls",
    "errors": "{{ . | first | value | humanizePercentage }} of calls",
    "calls": '{{ printf "%.0f" (. | first | value) }} calls in 5 minutes',
    "drift": "{{ . | first | value | humanizePercentage }} of calls",
}
_WHO = f'{{{{ or $labels.{FEATURE} "all features together" }}}}'


def alerts(slo: Slo, clock: Clock) -> tuple[Recording | Alert, ...]:
    """List marks and alerts, one a level: labels change only when an anomaly gets more severe."""
    level = series.ANOMALY_LEVEL
    marks = (
        Recording(series.ANOMALY, f"clamp_max({level} == {number}, 1)", {"level": name})
        for number, name in enumerate(LEVELS, 1)
    )
    return (*marks, *(_alert(slo, clock, number) for number in range(1, len(LEVELS) + 1)))


def _alert(slo: Slo, clock: Clock, level: int) -> Alert:
    of_feature, of_all = (
        f'max without (level) ({series.ANOMALY}{{{SCOPE}="{scope}",level="{LEVELS[level - 1]}"}})'
        for scope in ("feature", "all")
    )
    explained = f'max_over_time({series.ANOMALY}{{{SCOPE}="feature"}}[{clock.range(EXPLAINED_S)}])'
    unexplained = f"{of_all} unless on ({ANOMALY}) {explained}"
    return Alert(
        alert="SpanmeterAnomaly",
        expr=f"{told(of_feature)}\n"
        f'or label_replace({unexplained}, "{TEAM}", {text(slo.default_team)}, "", "")',
        severity=LEVELS[level - 1],
        summary=f"{_by_metric(_TITLES)} of {_WHO} is unusual",
        description=_description(clock),
        dashboard=f"{{{{ if $labels.{FEATURE} }}}}{places.of_feature(places.FEATURE)}"
        f"{{{{ else }}}}{places.OVERVIEW}{{{{ end }}}}",
    )


def _by_metric(texts: dict[AnomalyMetric, str]) -> str:
    branches = (
        f'{{{{ {"else " if place else ""}if eq $labels.{ANOMALY} "{name}" }}}}{text_}'
        for place, (name, text_) in enumerate(texts.items())
    )
    return "".join(branches) + "{{ end }}"


def _description(clock: Clock) -> str:
    hours = clock.range(2 * HOUR_S)
    mean = f"last_over_time({series.ANOMALY_MEAN}{{%s}}[{hours}])"
    season = f"last_over_time({series.ANOMALY_SEASON_MEAN}{{%s}}[{hours}])"
    value = f"{series.ANOMALY_VALUE}{{%s}}"
    amount, number = _by_metric(_AMOUNTS), '{{ printf "%.1f" (. | first | value) }}'
    return (
        f"Now: {_told_of(value, amount)}. Mean of the last 7 days: {_told_of(mean, amount)}"
        f'{{{{ if eq $labels.{ANOMALY} "calls" }}}}, at this time of day:'
        f" {_told_of(season, amount)}{{{{ end }}}}.\n"
        f"That is {_told_of(f'{value} / {mean}', number)} times the mean and"
        f" {_told_of(f'{series.ANOMALY_SIGMA}{{%s}}', number)} standard deviations from"
        " what is usual; an anomaly begins beyond 2."
    )


def _told_of(query: str, words: str) -> str:
    """Ask for what has the alert's own labels; `%s` in the query stands for them."""
    keys = (ANOMALY, SCOPE, FEATURE)
    matchers = ",".join(f"{key}=%[{place}]q" for place, key in enumerate(keys, 1))
    labels = " ".join(f"$labels.{key}" for key in keys)
    asked = f"printf `{query.replace('%s', matchers)}` {labels}"
    return f"{{{{ with query ({asked}) }}}}{words}{{{{ else }}}}unknown{{{{ end }}}}"
