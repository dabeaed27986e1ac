"""Windows of `slo.yaml` that no baseline may learn from: now, and when they are long past.

A window is mostly written down after the fact, so baselines leave it out of what was recorded.
"""

from spanmeter_gateway.alerting import series
from spanmeter_gateway.alerting.anomaly_values import ANOMALY, BUCKET_S, LATENCY_S, SCOPE
from spanmeter_gateway.alerting.promql import fits
from spanmeter_gateway.alerting.rule import Clock, Recording
from spanmeter_gateway.alerting.slo import Exclusion

LEARNED_LATE_S = BUCKET_S
"""Behind the moment of a value comes that of its entry into the baseline."""


def excluded(exclusions: tuple[Exclusion, ...], clock: Clock) -> tuple[Recording, ...]:
    """Record what lies in a window now, if there are windows at all."""
    if not exclusions:
        return ()
    inside = _inside(series.ANOMALY_VALUE, exclusions, clock.seconds(LATENCY_S))
    return (Recording(series.ANOMALY_EXCLUDED, f"clamp(({inside}), 1, 1)"),)


def learned(
    exclusions: tuple[Exclusion, ...], clock: Clock, *, matchers: str = "", over: str
) -> str:
    """Select what baselines learn from, over a range: without the windows, whenever written."""
    values = series.ANOMALY_CLEAN + matchers
    if not exclusions:
        return f"{values}[{over}]"
    late = clock.seconds(LATENCY_S + LEARNED_LATE_S)
    inside = _inside(series.ANOMALY_CLEAN, exclusions, late)
    return f"({values} unless ({inside}))[{over}:{clock.range(BUCKET_S)}]"


def _inside(recorded: str, exclusions: tuple[Exclusion, ...], late: str) -> str:
    # Within a subquery, time() is that of its step. The longest value reaches LATENCY_S back.
    return " or ".join(
        f"{recorded}{_matchers(each)} and on ()"
        f" (vector(time()) >= {each.begin_s} < {each.end_s} + {late})"
        for each in exclusions
    )


def _matchers(exclusion: Exclusion) -> str:
    matchers = []
    if exclusion.feature is not None:
        matchers += [f'{SCOPE}="feature"', fits((exclusion.feature,))]
    if exclusion.metrics:
        matchers.append(f'{ANOMALY}=~"{"|".join(exclusion.metrics)}"')
    return "{" + ",".join(matchers) + "}" if matchers else ""
