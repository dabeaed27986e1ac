"""Weeks of thirty features, drawn at random: seasons of day and week, noise, heavy tails."""

import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from spanmeter_gateway.alerting.slo import AnomalyMetric
from spanmeter_gateway.telemetry import names

BUCKET_S = 300
HOUR_S = 3600
DAY_S = 86400
MONDAY_S = 1_767_571_200
"""2026-01-05T00:00Z."""
# Traffic strays by a tenth for half an hour or so, and by a twentieth for a day.
_MEMORY, _STRAY, _DAY_STRAY = 0.8, 0.1, 0.05


@dataclass(frozen=True, slots=True)
class Feature:
    """What a feature's traffic is like; `rhythm` gives its share of the peak, by Unix time."""

    name: str
    peak_calls: float
    """A bucket."""
    rhythm: Callable[[float], float]
    usd: float
    """Of the median call."""
    tail: float
    """Of the logarithm of a call's cost, the standard deviation."""
    seconds: float
    """Of the median call."""
    fault_ratio: float


@dataclass(frozen=True, slots=True)
class Injection:
    """Something unusual: times the usual, or, of errors and drift, a share of the calls."""

    feature: str
    anomaly: AnomalyMetric
    begin_s: int
    length_s: int
    size: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """What happened in five minutes."""

    ok: int
    faults: int
    usd: float
    within: list[int]
    """Calls by bound, each with those of the bounds below."""
    drifted: int


def _is_weekend(at: float) -> bool:
    return (at // DAY_S + 3) % 7 >= 5  # the epoch began on a Thursday


def steady(_: float) -> float:
    """Have no rhythm."""
    return 1.0


def daily(at: float) -> float:
    """Swing between a fifth at 3 in the night and all at 15, with less at weekends."""
    swing = 0.6 + 0.4 * math.cos(2 * math.pi * (at / DAY_S - 15 / 24))
    return swing * (0.7 if _is_weekend(at) else 1.0)


def office(at: float) -> float:
    """Work from 8 to 18 on weekdays, with a tenth of that at other times."""
    hour = at % DAY_S / HOUR_S
    rise = min(1.0, max(0.0, hour - 7.5), max(0.0, 18.5 - hour))
    return 0.1 if _is_weekend(at) else max(0.1, rise)


def silent_night(at: float) -> float:
    """Say nothing from 22 to 6."""
    hour = at % DAY_S / HOUR_S
    return 0.0 if hour < 6 or hour >= 22 else 0.4 + 0.6 * math.sin(math.pi * (hour - 6) / 16)


def nightly_batch(at: float) -> float:
    """Do nearly everything from 2 to 3 in the night."""
    return 1.0 if 2 <= at % DAY_S / HOUR_S < 3 else 0.05


def growing(at: float) -> float:
    """Grow by 3 % a day."""
    return 0.5 * 1.03 ** ((at - MONDAY_S) / DAY_S) * daily(at)


_RHYTHMS = (daily, office, steady, silent_night, daily)


def features(seed: int, count: int = 30) -> list[Feature]:
    """Draw features: 1 to 300 calls a minute at the peak, cheap and dear, fast and slow."""
    draw = random.Random(f"features {seed}")
    found = []
    for place in range(count):
        rhythm = _RHYTHMS[place % len(_RHYTHMS)]
        rhythm = {count - 2: nightly_batch, count - 1: growing}.get(place, rhythm)
        found.append(
            Feature(
                f"{rhythm.__name__}-{place}",
                5 * 300 ** (place * 7 % count / (count - 1)),
                rhythm,
                draw.choice((0.0004, 0.002, 0.01)),
                draw.uniform(0.5, 1.2),
                draw.choice((0.8, 2.0, 5.0)),
                draw.choice((0.0, 0.002, 0.01)),
            )
        )
    return found


def buckets(
    feature: Feature, seed: int, times: range, injections: Iterable[Injection] = ()
) -> Iterator[Bucket]:
    """Draw what happens in each of the buckets that begin at these times."""
    mine = [each for each in injections if each.feature == feature.name]
    draw = random.Random(f"{feature.name} {seed}")
    stray, of_day = 0.0, 1.0
    for at in times:
        if at % DAY_S == 0:
            of_day = math.exp(draw.gauss(0, _DAY_STRAY))
        stray = _MEMORY * stray + math.sqrt(1 - _MEMORY**2) * draw.gauss(0, _STRAY)
        size = _sizes(at, mine)
        peak = feature.peak_calls * of_day * math.exp(stray) * size.get("calls", 1.0)
        calls = _poisson(draw, peak * feature.rhythm(at + BUCKET_S / 2))
        faults = _binomial(draw, calls, max(feature.fault_ratio, size.get("errors", 0.0)))
        ok = calls - faults
        yield Bucket(
            ok,
            faults,
            _cost(draw, ok, feature) * size.get("cost", 1.0),
            _durations(draw, ok, feature.seconds * size.get("latency", 1.0)),
            _binomial(draw, ok, size.get("drift", 0.0)),
        )


def _sizes(at: int, injections: Sequence[Injection]) -> dict[AnomalyMetric, float]:
    # A bucket that is unusual in part is so in that part.
    found: dict[AnomalyMetric, float] = {}
    for each in injections:
        inside = min(at + BUCKET_S, each.begin_s + each.length_s) - max(at, each.begin_s)
        if inside > 0:
            usual = 0.0 if each.anomaly in {"errors", "drift"} else 1.0
            found[each.anomaly] = usual + (each.size - usual) * inside / BUCKET_S
    return found


def _poisson(draw: random.Random, mean: float) -> int:
    if mean > 50:
        return max(0, round(draw.gauss(mean, math.sqrt(mean))))
    limit, count, product = math.exp(-mean), 0, draw.random()
    while product > limit:
        count, product = count + 1, product * draw.random()
    return count


def _binomial(draw: random.Random, count: int, ratio: float) -> int:
    mean = count * ratio
    if mean > 20 and count - mean > 20:
        return min(count, max(0, round(draw.gauss(mean, math.sqrt(mean * (1 - ratio))))))
    if ratio > 0.5:
        return count - _binomial(draw, count, 1 - ratio)
    return min(count, _poisson(draw, mean))


def _cost(draw: random.Random, calls: int, feature: Feature) -> float:
    # Each call's own cost, as long as one dear call matters among so many.
    if calls <= 40:
        return sum(draw.lognormvariate(math.log(feature.usd), feature.tail) for _ in range(calls))
    square = feature.tail**2
    mean = feature.usd * math.exp(square / 2)
    return max(0.0, draw.gauss(mean * calls, mean * math.sqrt(math.expm1(square) * calls)))


def _durations(draw: random.Random, calls: int, median_s: float) -> list[int]:
    within, left, below = [], calls, 0.0
    for bound in names.CALL_DURATION.buckets:
        share = 0.5 * math.erfc(-math.log(bound / median_s) / (0.6 * math.sqrt(2)))
        if 0.0005 < share < 0.9995 and below < 1:
            left -= _binomial(draw, left, (share - below) / (1 - below))
            below = share
        elif share >= 0.9995:
            left, below = 0, 1.0
        within.append(calls - left)
    return within
