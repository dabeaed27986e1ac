"""How well anomalies are found: hundreds of them, put into weeks of traffic at random."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.anomalies.fortnight import BUCKET_S, DAY_S, HOUR_S, MONDAY_S, Feature, Injection
from tests.anomalies.fortnight import buckets as draw
from tests.anomalies.fortnight import features as draw_features
from tests.anomalies.forward import Told, told

from spanmeter_gateway.alerting.anomaly_values import ANOMALY, SCOPE
from spanmeter_gateway.alerting.promql import FEATURE
from spanmeter_gateway.alerting.slo import AnomalyMetric

LEARNED_DAYS = 7
SIZES: dict[AnomalyMetric, tuple[float, ...]] = {
    "cost": (1.3, 2.0, 3.0, 4.4, 10.0),
    "latency": (1.3, 2.0, 3.0, 4.4, 10.0),
    "calls": (0.0, 0.1, 0.3, 2.0, 3.0, 4.4, 10.0),
    "errors": (0.03, 0.1, 0.3, 1.0),
    "drift": (0.03, 0.1, 0.3, 1.0),
}
"""Times the usual; of errors and drift the share of calls."""
LENGTHS_S = (600, 1200, 2400, 5400, 10800)
AFTER_S = 20 * 60
"""So long after its end it may still be told: the longest range and two evaluations."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One injected anomaly, and what was told of it."""

    injection: Injection
    calls: float
    """The feature's usual calls in a bucket at that time."""
    after_s: int | None
    """From its beginning to the first alert; None: it was missed."""
    alerts: int


@dataclass(frozen=True, slots=True)
class Trial:
    """What one seed brought."""

    findings: Sequence[Finding]
    consequences: int
    """Alerts of another metric of the same feature, or of all together, while there was a cause."""
    false: Sequence[Told]
    feature_weeks: float


def injections(seed: int, features: Sequence[Feature], begin_s: int, days: int) -> list[Injection]:
    """Put one anomaly into each feature and day, at any time of it."""
    choose = random.Random(f"injections {seed}")
    found = []
    for day in range(days):
        for feature in features:
            anomaly = choose.choice(tuple(SIZES))
            length_s = choose.choice(LENGTHS_S)
            at = begin_s + day * DAY_S + choose.randrange(HOUR_S, DAY_S - 5 * HOUR_S)
            found.append(
                Injection(feature.name, anomaly, at, length_s, choose.choice(SIZES[anomaly]))
            )
    return found


def trial(folder: Path, seed: int, *, days: int = 3) -> Trial:
    """Draw a week to learn and some days with anomalies, and compare what is told with them."""
    begin_s = MONDAY_S + 2 * seed * DAY_S
    from_s = begin_s + LEARNED_DAYS * DAY_S
    end_s = from_s + days * DAY_S
    features = draw_features(seed)
    injected = injections(seed, features, from_s, days)
    times = range(begin_s, end_s, BUCKET_S)
    traffic = {each.name: list(draw(each, seed, times, injected)) for each in features}
    events = [each for each in told(folder, traffic, begin_s, from_s=from_s) if _begins(each)]
    by_name = {each.name: each for each in features}
    findings = [_finding(each, by_name[each.feature], events) for each in injected]
    others = [each for each in events if not any(_is_of(each, cause) for cause in injected)]
    caused = [each for each in others if any(_follows(each, cause) for cause in injected)]
    false = [each for each in others if each not in caused]
    return Trial(findings, len(caused), false, len(features) * days / 7)


def trials(folder: Path, seeds: Sequence[int]) -> list[Trial]:
    """Try all seeds, one after the other."""
    found = []
    for seed in seeds:
        place = folder / str(seed)
        place.mkdir()
        found.append(trial(place, seed))
    return found


def fortnight(folder: Path, seed: int) -> list[Told]:
    """Begin with nothing, live through two clean weeks and a day with one cost spike of 4.4."""
    features = draw_features(seed)
    begin_s, end_s = MONDAY_S, MONDAY_S + 15 * DAY_S
    spike = Injection(features[12].name, "cost", end_s - 14 * HOUR_S, 2400, 4.4)
    times = range(begin_s, end_s, BUCKET_S)
    traffic = {each.name: list(draw(each, seed, times, [spike])) for each in features}
    return told(folder, traffic, begin_s, from_s=begin_s)


def _begins(event: Told) -> bool:
    return event.state == "firing"


def _is_during(event: Told, cause: Injection) -> bool:
    return cause.begin_s <= event.at_s <= cause.begin_s + cause.length_s + AFTER_S


def _is_of(event: Told, cause: Injection) -> bool:
    return (
        event.labels.get(FEATURE) == cause.feature
        and event.labels[ANOMALY] == cause.anomaly
        and _is_during(event, cause)
    )


def _follows(event: Told, cause: Injection) -> bool:
    same = event.labels.get(FEATURE) == cause.feature or event.labels[SCOPE] == "all"
    return same and _is_during(event, cause)


def _finding(injection: Injection, feature: Feature, events: Sequence[Told]) -> Finding:
    mine = [each for each in events if _is_of(each, injection)]
    middle = injection.begin_s + injection.length_s / 2
    return Finding(
        injection,
        feature.peak_calls * feature.rhythm(middle),
        min(each.at_s for each in mine) - injection.begin_s if mine else None,
        len(mine),
    )
