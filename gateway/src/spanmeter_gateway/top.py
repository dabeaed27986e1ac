"""The books' metrics summed by feature, as `spanmeter top` shows them.

It reads `/metrics` as Prometheus does and knows nothing of how the numbers come about. Unknown is
`None`: no rate without two readings, no error rate and no p95 without calls.
"""

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from spanmeter_gateway.errors import BooksUnreachable
from spanmeter_gateway.telemetry import names

ERRORS = frozenset(names.STARTED_OUTCOMES) - {"ok"}
"""A caller that leaves, or that a limit of ours stopped, is not counted as an error."""
INPUT_CLASSES = frozenset({"input", "cache_read", "cache_write"})
OUTPUT_CLASSES = frozenset({"output", "reasoning"})
_FEATURE = names.label(names.FEATURE)
_OUTCOME = names.label(names.OUTCOME)
_TOKEN_CLASS = names.label(names.TOKEN_CLASS)
_DURATION_BUCKET = f"{names.CALL_DURATION.prometheus_name}_bucket"
_TIMEOUT_S = 5.0


@dataclass(slots=True)
class Sums:
    """What the counters of one feature hold."""

    calls: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    calls_by_bound_s: dict[float, float] = field(default_factory=dict)
    """Cumulative, as Prometheus has it: calls that took at most so long."""


@dataclass(slots=True)
class Health:
    """What the sums do not contain, or not yet."""

    unmetered: int = 0
    unpriced: int = 0
    dropped: int = 0
    lag_s: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the metrics."""

    sums_by_feature: Mapping[str, Sums]
    health: Health
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    feature: str
    calls: int
    calls_per_s: float | None
    errors: int
    error_rate: float | None
    input_tokens: int
    output_tokens: int
    cost_usd: float
    p95_s: float | None


def metrics_url(written: str) -> str:
    """Complete an address of the books as somebody wrote it: `host:port`, or with the path."""
    url = written if "://" in written else f"http://{written}"
    return f"{url.rstrip('/').removesuffix('/metrics')}/metrics"


def fetch(url: str, *, token: str | None = None) -> str:
    """Get the exposition from the books at `url`; raises `BooksUnreachable`."""
    address = metrics_url(url)
    try:
        # `peek`: Prometheus alone must be the one who sees a new series start at 0.
        request = urllib.request.Request(f"{address}?peek=true")
        if token is not None:  # not sent on, should somebody else redirect us
            request.add_unredirected_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            asks = "; it asks for its books.token: give its file as --config"
            why = f"it answers {error.code}{asks if error.code == 401 else ''}"
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = str(getattr(error, "reason", error))
    raise BooksUnreachable(
        f"no metrics at {address}: {why}. Is `spanmeter serve` running? Its books listen on the "
        "address books.listen; give it as --url, or their file as --config"
    )


def read(text: str, *, at_s: float) -> Reading:
    """Sum an exposition by feature; metrics that are not there count as nothing."""
    sums: dict[str, Sums] = {}
    health = Health()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            feature = sample.labels.get(_FEATURE)
            if feature is not None:
                _add(sums.setdefault(feature, Sums()), sample)
            _add_health(health, sample)
    return Reading(sums, health, at_s)


def _add(sums: Sums, sample: Sample) -> None:
    if sample.name == names.CALLS.prometheus_name:
        sums.calls += int(sample.value)
        if sample.labels.get(_OUTCOME) in ERRORS:
            sums.errors += int(sample.value)
    elif sample.name == names.TOKENS.prometheus_name:
        token_class = sample.labels.get(_TOKEN_CLASS)
        if token_class in INPUT_CLASSES:
            sums.input_tokens += int(sample.value)
        elif token_class in OUTPUT_CLASSES:
            sums.output_tokens += int(sample.value)
    elif sample.name == names.COST.prometheus_name:
        sums.cost_usd += sample.value
    elif sample.name == _DURATION_BUCKET:
        bound_s = float(sample.labels["le"])
        sums.calls_by_bound_s[bound_s] = sums.calls_by_bound_s.get(bound_s, 0.0) + sample.value


def _add_health(health: Health, sample: Sample) -> None:
    if sample.name == names.UNMETERED.prometheus_name:
        health.unmetered += int(sample.value)
    elif sample.name == names.UNPRICED.prometheus_name:
        health.unpriced += int(sample.value)
    elif sample.name == names.RECEIPTS_DROPPED.prometheus_name:
        health.dropped += int(sample.value)
    elif sample.name == names.BOOKS_LAG.prometheus_name:
        health.lag_s = sample.value


def rows(reading: Reading, before: Reading | None) -> list[Row]:
    """Make the lines, most calls first; rates are those since the reading `before`."""
    lines = [
        _row(feature, sums, _rate(reading, before, [feature]))
        for feature, sums in reading.sums_by_feature.items()
    ]
    return sorted(lines, key=lambda row: (-row.calls, row.feature))


def total(reading: Reading, before: Reading | None) -> Row:
    """Make the line of all features together."""
    every = Sums()
    for sums in reading.sums_by_feature.values():
        every.calls += sums.calls
        every.errors += sums.errors
        every.input_tokens += sums.input_tokens
        every.output_tokens += sums.output_tokens
        every.cost_usd += sums.cost_usd
        for bound_s, calls in sums.calls_by_bound_s.items():
            every.calls_by_bound_s[bound_s] = every.calls_by_bound_s.get(bound_s, 0.0) + calls
    return _row("all", every, _rate(reading, before, reading.sums_by_feature))


def _row(feature: str, sums: Sums, calls_per_s: float | None) -> Row:
    return Row(
        feature=feature,
        calls=sums.calls,
        calls_per_s=calls_per_s,
        errors=sums.errors,
        error_rate=sums.errors / sums.calls if sums.calls else None,
        input_tokens=sums.input_tokens,
        output_tokens=sums.output_tokens,
        cost_usd=sums.cost_usd,
        p95_s=quantile(0.95, sums.calls_by_bound_s),
    )


def _rate(reading: Reading, before: Reading | None, features: Iterable[str]) -> float | None:
    if before is None or reading.at_s <= before.at_s:
        return None
    nothing = Sums()
    calls = sum(
        reading.sums_by_feature[feature].calls - before.sums_by_feature.get(feature, nothing).calls
        for feature in features
    )
    # Below zero the counters began anew in between: books lost their state.
    return calls / (reading.at_s - before.at_s) if calls >= 0 else None


def quantile(q: float, calls_by_bound_s: Mapping[float, float]) -> float | None:
    """Estimate a quantile from cumulative buckets, by the rules of Prometheus' histogram_quantile.

    Linear within a bucket, the first of which begins at 0; beyond the last finite bound the answer
    is that bound (prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile).
    """
    bounds = sorted(calls_by_bound_s)
    if len(bounds) < 2 or calls_by_bound_s[bounds[-1]] == 0:
        return None
    rank = q * calls_by_bound_s[bounds[-1]]
    lower_bound, below = 0.0, 0.0
    for bound in bounds[:-1]:
        within = calls_by_bound_s[bound]
        if within >= rank:
            share = (rank - below) / (within - below) if within > below else 1.0
            return lower_bound + (bound - lower_bound) * share
        lower_bound, below = bound, within
    return bounds[-2]
