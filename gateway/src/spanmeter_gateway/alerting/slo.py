"""What a team promises of its features, and pays for them: `slo.yaml`, read into frozen values."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Literal

from spanmeter_gateway.alerting.slo_schema import (
    ExclusionShape,
    FeatureShape,
    PromiseShape,
    SloShape,
)
from spanmeter_gateway.config_document import UnreadableYaml, parse, problems
from spanmeter_gateway.errors import ConfigError, ConfigProblem
from spanmeter_gateway.telemetry import names

_MISSING = "is not there: name it with --slo, or make an empty one, for all keys have defaults"
AnomalyMetric = Literal["cost", "latency", "errors", "calls", "drift"]


@dataclass(frozen=True, slots=True)
class Promise:
    """What is promised of a feature's calls."""

    error_budget: Decimal = Decimal("0.01")
    """Share of calls that may fail by a fault of the provider or the gateway."""
    p95_s: float = 20.0
    first_chunk_p95_s: float = 5.12
    caller_error_ratio: float = 0.25
    """Of all calls, as the next two; 1 is never exceeded."""
    denied_ratio: float = 0.1
    cancelled_ratio: float = 0.25


@dataclass(frozen=True, slots=True)
class Team:
    """Who is told; `features` are names, or patterns with `*`."""

    name: str
    features: tuple[str, ...]
    month_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A span of time that no baseline may learn from; no feature: all of them."""

    begin_s: int
    """Unix time; the end is outside."""
    end_s: int
    feature: str | None = None
    metrics: tuple[AnomalyMetric, ...] = ()
    """None: all of them."""


@dataclass(frozen=True, slots=True)
class Spend:
    """When spending is worth a look."""

    spike_ratio: float = 2.0
    """Over the same hour of last week."""
    spike_usd_per_hour: float = 1.0
    """Below it no spike is worth a look."""
    new_feature_usd_per_hour: float = 5.0


@dataclass(frozen=True, slots=True)
class Links:
    """Where annotations point."""

    dashboards: str = "http://localhost:3000"
    """Grafana's address."""
    playbooks: str = "grafana/playbooks.md"
    """Where the team reads that page; `#` and the alert's name are put behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """Everything that rules are made of."""

    promise: Promise = Promise()
    promise_by_feature: Mapping[str, Promise] = field(default_factory=dict)
    """By name, or by a pattern with `*`; the first that fits holds."""
    min_failed_calls: int = 10
    """Fewer failures in the longer window of a burn rate alert nobody."""
    teams: tuple[Team, ...] = ()
    default_team: str = "platform"
    """Whose features are that no team names, and everything that is no feature's."""
    month_usd: Decimal | None = None
    month_usd_by_feature: Mapping[str, Decimal] = field(default_factory=dict)
    spend: Spend = Spend()
    untagged_ratio: float = 0.1
    exclusions: tuple[Exclusion, ...] = ()
    links: Links = Links()
    job: str = "spanmeter"
    """Prometheus' name for scraping the books."""


def load(path: Path) -> Slo:
    """Read `slo.yaml`; raises `ConfigError` with every problem, each with file and key."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError([ConfigProblem(str(path), "", _MISSING)]) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ConfigError([ConfigProblem(str(path), "", f"cannot be read: {reason}")]) from error
    try:
        document = parse(text)
    except UnreadableYaml as error:
        raise ConfigError([ConfigProblem(str(path), "", str(error))]) from error
    found = problems(document, SloShape) or _contradictions(SloShape.model_validate(document))
    if found:
        raise ConfigError([ConfigProblem(str(path), key, problem) for key, problem in found])
    return _value(SloShape.model_validate(document))


def _contradictions(shape: SloShape) -> list[tuple[str, str]]:
    """List what a shape cannot say: bounds that no histogram has, one feature in two teams."""
    found: list[tuple[str, str]] = []
    promises: dict[str, PromiseShape] = {"": shape}
    promises |= {f"features.{name}.": each for name, each in shape.features.items()}
    for key, promise in promises.items():
        found += _not_a_bound(f"{key}p95_s", promise.p95_s, names.CALL_DURATION)
        found += _not_a_bound(
            f"{key}first_chunk_p95_s", promise.first_chunk_p95_s, names.TIME_TO_FIRST
        )
    team_by_feature: dict[str, str] = {}
    for name, team in shape.teams.items():
        for feature in team.features:
            if feature in team_by_feature:
                problem = f"{feature} stands in team {team_by_feature[feature]} already"
                found.append((f"teams.{name}.features", problem))
            team_by_feature[feature] = name
    for place, exclusion in enumerate(shape.exclusions):
        if exclusion.end <= exclusion.begin:
            found.append((f"exclusions[{place}].end", "must be after begin"))
    return found


def _not_a_bound(key: str, value: float | None, metric: names.Metric) -> list[tuple[str, str]]:
    # Between two bounds a quantile is interpolated: the alert would compare with a guess.
    # Beyond the last one it cannot be: the alert would never fire.
    bounds = metric.buckets[:-1]
    if value is None or value in bounds:
        return []
    known = ", ".join(f"{bound:g}" for bound in bounds)
    return [(key, f"must be a bound of the histogram, one of {known}")]


def _value(shape: SloShape) -> Slo:
    unset = Slo()
    promise = _promise(shape, Promise())
    month_usd_by_feature = {
        name: each.month_usd for name, each in shape.features.items() if each.month_usd is not None
    }
    return Slo(
        promise=promise,
        promise_by_feature={name: _promise(each, promise) for name, each in shape.features.items()},
        min_failed_calls=shape.min_failed_calls or unset.min_failed_calls,
        teams=tuple(
            Team(name, tuple(team.features), team.month_usd) for name, team in shape.teams.items()
        ),
        default_team=shape.default_team or unset.default_team,
        month_usd=shape.month_usd,
        month_usd_by_feature=month_usd_by_feature,
        spend=Spend(**shape.spend.model_dump(exclude_none=True)),
        untagged_ratio=shape.untagged_ratio or unset.untagged_ratio,
        exclusions=tuple(map(_exclusion, shape.exclusions)),
        links=Links(**shape.links.model_dump(exclude_none=True)),
        job=shape.job or unset.job,
    )


def _promise(shape: PromiseShape | FeatureShape, otherwise: Promise) -> Promise:
    error_budget = otherwise.error_budget
    if shape.objective is not None:
        error_budget = 1 - shape.objective / 100
    return Promise(
        error_budget=error_budget,
        p95_s=shape.p95_s or otherwise.p95_s,
        first_chunk_p95_s=shape.first_chunk_p95_s or otherwise.first_chunk_p95_s,
        caller_error_ratio=shape.caller_error_ratio or otherwise.caller_error_ratio,
        denied_ratio=shape.denied_ratio or otherwise.denied_ratio,
        cancelled_ratio=shape.cancelled_ratio or otherwise.cancelled_ratio,
    )


def _exclusion(shape: ExclusionShape) -> Exclusion:
    return Exclusion(
        math.floor(shape.begin.timestamp()),
        math.ceil(shape.end.timestamp()),
        shape.feature,
        tuple(shape.metrics),
    )
