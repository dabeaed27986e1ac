"""The fortnight as Prometheus takes it: raw series, and what rules would have learned of them.

Each bucket has two samples, one a second after it began and one at its end: `rate()` over five
minutes then sees all of it, as with a scrape every few seconds, and a fortnight is small.
"""

from collections.abc import Mapping, Sequence
from typing import TextIO

from tests.anomalies.fortnight import BUCKET_S, Bucket

from spanmeter_gateway.alerting import series
from spanmeter_gateway.alerting.anomaly_values import ANOMALY, MIN_CALLS, SCOPE
from spanmeter_gateway.alerting.exclusions import LEARNED_LATE_S
from spanmeter_gateway.alerting.promql import FEATURE, OUTCOME, text
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.names import label

_ASKED, _ANSWERED, _OTHER = "gpt-5-mini", "gpt-5-mini-2025-08-07", "gpt-5-nano-2025-08-07"
_BOUNDS = names.CALL_DURATION.buckets


def write_raw(out: TextIO, feature: str, begin_s: int, buckets: Sequence[Bucket]) -> None:
    """Write the series that rules read, of the buckets from `begin_s` on."""
    of = f"{FEATURE}={text(feature)}"
    ok = [each.ok for each in buckets]
    calls, wait = names.CALLS.prometheus_name, f"{names.CALL_DURATION.prometheus_name}_bucket"
    increases_by_series: dict[str, Sequence[float]] = {
        f'{calls}{{{of},{OUTCOME}="ok"}}': ok,
        f'{calls}{{{of},{OUTCOME}="provider_error"}}': [each.faults for each in buckets],
        f"{names.COST.prometheus_name}{{{of}}}": [each.usd for each in buckets],
        _models(of, _ANSWERED): [each.ok - each.drifted for each in buckets],
        _models(of, _OTHER): [each.drifted for each in buckets],
    }
    for place, bound in enumerate(_BOUNDS):
        within = [each.within[place] for each in buckets]
        increases_by_series[f'{wait}{{{of},{OUTCOME}="ok",le="{bound:g}"}}'] = within
    increases_by_series[f'{wait}{{{of},{OUTCOME}="ok",le="+Inf"}}'] = ok
    for name, increases in increases_by_series.items():
        if any(increases):
            out.write(_counter(name, begin_s, increases))


def _models(of: str, answered: str) -> str:
    models = f'{label(names.REQUEST_MODEL)}="{_ASKED}",{label(names.RESPONSE_MODEL)}="{answered}"'
    return f"{names.INFERENCE_DURATION.prometheus_name}_count{{{of},{models}}}"


def _counter(name: str, begin_s: int, increases: Sequence[float]) -> str:
    total: float = 0
    lines = []
    for at, increase in enumerate(increases):
        lines.append(f"{name} {total:.10g} {begin_s + at * BUCKET_S + 1}\n")
        total += increase
        lines.append(f"{name} {total:.10g} {begin_s + (at + 1) * BUCKET_S}\n")
    return "".join(lines)


def write_learned(
    out: TextIO, begin_s: int, buckets_by_feature: Mapping[str, Sequence[Bucket]]
) -> None:
    """Write what the rules had recorded by then, had they read these buckets."""
    for feature, buckets in buckets_by_feature.items():
        _write_values(out, f'{SCOPE}="feature",{FEATURE}={text(feature)}', begin_s, buckets)
    together = [_sum(each) for each in zip(*buckets_by_feature.values(), strict=True)]
    _write_values(out, f'{SCOPE}="all"', begin_s, together)


def _write_values(out: TextIO, of: str, begin_s: int, buckets: Sequence[Bucket]) -> None:
    values_by_anomaly: dict[str, Sequence[float | None]] = {
        "cost": [each.usd for each in buckets],
        "calls": [each.ok + each.faults for each in buckets],
        "errors": [_share(each.faults, each.ok + each.faults) for each in buckets],
        "drift": [_share(each.drifted, each.ok) for each in buckets],
        "latency": [_p95(_sum(buckets[max(0, at - 2) : at + 1])) for at in range(len(buckets))],
    }
    for anomaly, values in values_by_anomaly.items():
        labels = f'{{{ANOMALY}="{anomaly}",{of}}}'
        samples = [
            (begin_s + place * BUCKET_S, value)
            for place, value in enumerate(values, 1)
            if value is not None
        ]
        out.writelines(
            f"{series.ANOMALY_CLEAN}{labels} {value:.10g} {at + LEARNED_LATE_S}\n"
            for at, value in samples
        )
        if anomaly == "calls":
            out.writelines(
                f"{series.ANOMALY_VALUE}{labels} {value:.10g} {at}\n" for at, value in samples
            )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole >= MIN_CALLS else None


def _sum(buckets: Sequence[Bucket]) -> Bucket:
    return Bucket(
        sum(each.ok for each in buckets),
        sum(each.faults for each in buckets),
        sum(each.usd for each in buckets),
        [sum(counts) for counts in zip(*(each.within for each in buckets), strict=True)],
        sum(each.drifted for each in buckets),
    )


def _p95(three: Bucket) -> float | None:
    # As histogram_quantile() does it.
    if three.ok < 3 * MIN_CALLS:
        return None
    rank, below, lowest = 0.95 * three.ok, 0, 0.0
    for bound, within in zip(_BOUNDS, three.within, strict=True):
        if within >= rank:
            return lowest + (bound - lowest) * (rank - below) / (within - below)
        below, lowest = within, bound
    return lowest
