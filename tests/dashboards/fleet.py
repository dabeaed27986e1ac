"""A made-up company: 30 features that call several models, and every series that they leave.

Which series there are follows from the metric contract (`telemetry/names.py`): each label of a
metric has the values that docs/metrics.md lists, so no dashboard can lean on a label that is not.
"""

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.names import Metric, label

ROOT = Path(__file__).parents[2]
Labels = dict[str, str]

MODELS = (
    ("openai", "gpt-5-mini"), ("anthropic", "claude-sonnet-5"), ("gcp.gemini", "gemini-2.5-flash"),
    ("openai", "gpt-4.1"), ("groq", "llama-3.3-70b-versatile"), ("mistral_ai", "mistral-large"),
)  # fmt: skip
TASKS = ("generation", "extraction", "classification")
TAG_VALUES = {
    "env": ("prod", "staging"),
    "team": ("payments", "search", "support"),
    "project": ("atlas", "hermes"),
    "cost-center": ("cc-100", "cc-200"),
}
# By outcome: what `error_type` then is, and the share of calls.
OUTCOMES = (
    ("ok", "", 0.93), ("provider_error", "overloaded_error", 0.02), ("provider_error", "503", 0.01),
    ("gateway_error", "connections_exhausted", 0.005), ("caller_error", "400", 0.015),
    ("policy_denied", "budget_exceeded", 0.005), ("cancelled", "", 0.015),
)  # fmt: skip
_AMOUNT_BY_UNIT = {"{token}": 800.0, "{USD}": 0.004}
"""What one call adds; 1 where nothing is said."""
_VALUES: dict[str, tuple[str, ...]] = {
    names.OPERATION: ("chat",),
    names.TOKEN_CLASS: ("input", "cache_read", "cache_write", "output", "reasoning"),
    names.COST_SOURCE: ("local",),
    names.ERROR_TYPE: ("", "503"),
    names.SERVER_ADDRESS: ("upstream.example.com",),
    names.SERVER_PORT: ("443",),
    names.TOKEN_MODALITY: ("text",),
    names.TOKEN_TYPE: ("input", "output"),
    names.HTTP_METHOD: ("POST",),
    names.URL_SCHEME: ("http",),
    names.HTTP_STATUS: ("200", "503"),
    names.HTTP_ROUTE: ("/v1/chat/completions",),
    names.PROTOCOL_VERSION: ("1.1",),
    names.LABEL: (label(names.FEATURE), label(names.REQUEST_MODEL), names.ALL_SERIES),
    names.VERSION: ("1.0.0",),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """One feature's use of one model."""

    labels: Labels
    calls_per_hour: float
    mean_s: float


@dataclass(frozen=True, slots=True)
class Series:
    """One series: a counter grows by `per_hour`, a gauge stands at `level`."""

    name: str
    labels: Labels
    per_hour: float = 0.0
    level: float | None = None


def pairs(features: int = 30) -> list[Pair]:
    """List who calls what: every other feature calls two models; the last is `untagged`.

    It also calls its first model without any tag.
    """
    named = [f"feature-{number:02}" for number in range(1, features)] + ["untagged"]
    listed = [
        _pair(place, feature, MODELS[(place + turn) % len(MODELS)])
        for place, feature in enumerate(named)
        for turn in range(1 + place % 2)
    ]
    [last] = together(listed, 1)
    no_tags = dict.fromkeys((label(names.TAG_PREFIX + key) for key in TAG_VALUES), "")
    return [*listed, replace(last, labels=last.labels | no_tags)]


def dense(features: int, models: int) -> list[Pair]:
    """Let every feature call every model: the most series that there can be."""
    providers = sorted({provider for provider, _ in MODELS})
    listed = [(providers[n % len(providers)], f"model-{n:02}") for n in range(models)]
    named = [f"feature-{number:02}" for number in range(1, features)] + ["untagged"]
    return [_pair(place, name, model) for place, name in enumerate(named) for model in listed]


def together(fleet: list[Pair], features: int) -> list[Pair]:
    """Take so many features from the end, `untagged` first, each with one model."""
    by_feature = {pair.labels[label(names.FEATURE)]: pair for pair in reversed(fleet)}
    return list(by_feature.values())[:features]


def _pair(place: int, feature: str, model: tuple[str, str]) -> Pair:
    provider, name = model
    tags = {
        label(names.TAG_PREFIX + key): values[place % len(values)]
        for key, values in TAG_VALUES.items()
    }
    labels = {
        label(names.FEATURE): feature,
        label(names.TASK): TASKS[place % len(TASKS)],
        label(names.PROVIDER): provider,
        label(names.REQUEST_MODEL): name,
        label(names.RESPONSE_MODEL): f"{name}-2026",
        **tags,
    }
    # So many are untagged that the dashboards complain of it.
    calls_per_hour = 5000.0 if feature == "untagged" else 40.0 + 30 * place
    return Pair(labels, calls_per_hour, mean_s=1.0 + len(name) / 5)


def series_of(metric: Metric, fleet: list[Pair]) -> Iterator[Series]:
    """List every series of a metric; one that knows no feature has the whole fleet's calls."""
    if names.FEATURE not in metric.attributes:
        calls = sum(pair.calls_per_hour for pair in fleet)
        everybody = Pair({}, calls, mean_s=2.0)
        yield from _of_pair(metric, everybody)
        return
    for pair in fleet:
        yield from _of_pair(metric, pair)


def _of_pair(metric: Metric, pair: Pair) -> Iterator[Series]:
    own = {label(attribute) for attribute in metric.attributes}
    tags = {key for key in pair.labels if metric.tagged and key not in own}
    tags = {key for key in tags if key.startswith(label(names.TAG_PREFIX))}
    known = {key: value for key, value in pair.labels.items() if key in own | tags}
    for labels, share in _ends(metric):
        for rest in _rest(metric, known | labels):
            per_hour = pair.calls_per_hour * share * _AMOUNT_BY_UNIT.get(metric.unit, 1.0)
            yield from _of_kind(metric, known | labels | rest, per_hour, pair.mean_s)


def _ends(metric: Metric) -> list[tuple[Labels, float]]:
    """List how calls end, as far as the metric tells it: labels, and their share."""
    outcome, error = label(names.OUTCOME), label(names.ERROR_TYPE)
    if names.OUTCOME not in metric.attributes:
        return [({}, 1.0)]
    if names.ERROR_TYPE in metric.attributes:
        return [({outcome: name, error: kind}, share) for name, kind, share in OUTCOMES]
    return [({outcome: name}, share) for name, share in (("ok", 0.93), ("provider_error", 0.03))]


def _rest(metric: Metric, known: Labels) -> Iterator[Labels]:
    left = [attribute for attribute in metric.attributes if label(attribute) not in known]
    choices = [_VALUES.get(attribute) or values_of(metric) for attribute in left]
    for combination in itertools.product(*choices):
        yield dict(zip(map(label, left), combination, strict=True))


def _of_kind(metric: Metric, labels: Labels, per_hour: float, mean_s: float) -> Iterator[Series]:
    name = metric.prometheus_name
    if metric.kind in {"gauge", "updowncounter"}:
        yield Series(name, labels, level=0.0 if metric is names.RECONCILIATION else 7.0)
    elif metric.kind == "counter":
        yield Series(name, labels, per_hour)
    else:
        for bound in (*metric.buckets, math.inf):
            share = 1 - math.exp(-bound / mean_s)
            text = "+Inf" if math.isinf(bound) else f"{bound:g}"
            yield Series(f"{name}_bucket", labels | {"le": text}, per_hour * share)
        yield Series(f"{name}_sum", labels, per_hour * mean_s)
        yield Series(f"{name}_count", labels, per_hour)


@cache
def _listed() -> Mapping[str, tuple[str, ...]]:
    """Read the reasons and results of each metric from docs/metrics.md."""
    text = (ROOT / "docs/metrics.md").read_text().partition("## Reasons and results")[2]
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", text, re.MULTILINE)
    return {name: tuple(value for each, value in rows if each == name) for name, _ in rows}


def values_of(metric: Metric) -> tuple[str, ...]:
    """List the reasons, results or pairs of a metric; the page says nothing of plain ones."""
    return _listed().get(metric.prometheus_name, ("ok", "refused"))
