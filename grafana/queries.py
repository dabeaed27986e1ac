"""Every piece of PromQL that dashboards are made of: selections, sums, ratios, quantiles.

A panel filters by a variable only where its metric carries the label, or it would be empty.
"""

import re

from grafana import sources
from grafana.panels import SERIES_SHOWN
from grafana.sources import Source
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.names import Metric, label

FEATURE = label(names.FEATURE)
TASK = label(names.TASK)
PROVIDER = label(names.PROVIDER)
MODEL = label(names.REQUEST_MODEL)
OUTCOME = label(names.OUTCOME)
ERROR = label(names.ERROR_TYPE)
REASON = label(names.REASON)
ANSWERED = label(names.RESPONSE_MODEL)
TOKEN_CLASS = label(names.TOKEN_CLASS)
TAG_KEYS = names.DEFAULT_TAG_KEYS
"""The keys that are labels unless the configuration says otherwise (`tags.labels`)."""

PERIOD = "$__range"
RATE = "$__rate_interval"
WEEK = "7d"
DAY = "1d"
"""A window for lines whose step is a day: with it `$__rate_interval` would be four of them."""
AT_END = "@ end()"
"""At the end of the time range, for each moment of a line."""
ONE_FEATURE = f'{FEATURE}="$feature"'
"""For a variable of one value: as a regular expression `a+b` would not find itself."""


def tag_label(key: str) -> str:
    """Name the label of a tag key."""
    return label(names.TAG_PREFIX + key)


def tag_variable(key: str) -> str:
    """Name the variable that filters by a tag key."""
    return f"tag_{key.replace('-', '_')}"


LABEL_BY_VARIABLE = {
    "feature": FEATURE,
    "task": TASK,
    "provider": PROVIDER,
    "model": MODEL,
    **{tag_variable(key): tag_label(key) for key in TAG_KEYS},
}


def labels_of(metric: Metric) -> frozenset[str]:
    """List the labels that a metric's series carry."""
    own = {label(attribute) for attribute in metric.attributes}
    return frozenset(own | {tag_label(key) for key in TAG_KEYS} if metric.tagged else own)


def select(metric: Metric, *matchers: str, part: str = "", by: frozenset[str] | None = None) -> str:
    """Select a metric's series by the variables whose labels it has, and these matchers.

    `part` is `_bucket`, `_sum` or `_count` of a histogram; `by` the variables that the dashboard
    has, else all. A matcher given for a label takes the variable's place, unless it says `!=`.
    """
    return f"{metric.prometheus_name}{part}{_filtered(metric, matchers, by)}"


def read(source: Source, *matchers: str) -> str:
    """Select the series of a sum, raw or recorded, as `select` does."""
    every = (source.matcher, *matchers) if source.matcher else matchers
    return f"${source.variable}{_filtered(source.metric, every)}"


def _filtered(metric: Metric, matchers: tuple[str, ...], by: frozenset[str] | None = None) -> str:
    carried = labels_of(metric)
    given = {each.partition("=")[0] for each in matchers}
    filters = [
        f'{name}=~"${variable}"'
        for variable, name in LABEL_BY_VARIABLE.items()
        if name in carried and name not in given and (by is None or variable in by)
    ]
    return f"{{{','.join((*filters, *matchers))}}}"


def chosen(source: Source, by: tuple[str, ...], matchers: tuple[str, ...]) -> str:
    """Select a sum, or its metric where that alone has the labels that are asked for."""
    asked = {*by, *(found[0] for each in matchers if (found := re.match(r"\$?\w+", each)))}
    if asked <= {*LABEL_BY_VARIABLE.values(), "$key"}:
        return read(source, *matchers)
    return select(source.metric, *matchers)


def grouped(by: tuple[str, ...]) -> str:
    """Write `by (...)`, or nothing for one sum of all."""
    return f" by ({', '.join(by)})" if by else ""


def total(selected: str, *by: str, window: str = PERIOD, offset: str = "") -> str:
    """Add up what a counter grew by over the time range; `offset` may be `AT_END`."""
    return f"sum{grouped(by)} (increase({selected}[{window}]{_shifted(offset)}))"


def _shifted(offset: str) -> str:
    # Prometheus' documentation, "Querying basics": both stand behind the range.
    if offset == AT_END:
        return f" {AT_END}"
    return f" offset {offset}" if offset else ""


def per_second(selected: str, *by: str) -> str:
    """Add up a counter's growth each second."""
    return f"sum{grouped(by)} (rate({selected}[{RATE}]))"


def quantile(share: float, buckets: str, *by: str, window: str = RATE, offset: str = "") -> str:
    """Estimate a quantile from a histogram's buckets; no calls give no value."""
    rates = f"sum by ({', '.join(('le', *by))}) (rate({buckets}[{window}]{_shifted(offset)}))"
    return f"histogram_quantile({share:g}, {rates}) >= 0"


def mean_wait(*by: str) -> str:
    """What callers whose call went well waited on the average over the time range, in seconds."""
    seconds = total(read(sources.WAIT_SECONDS), *by)
    return f"{seconds}\n  / ({waited(*by)} > 0)"


def waited(*by: str, offset: str = "") -> str:
    """Count calls that went well over the time range: by waits, which are of no task."""
    return total(read(sources.WAITS, COUNT), *by, offset=offset)


def change(now: str, before: str) -> str:
    """Compare with before as a share; blank where there was nothing."""
    return f"({now})\n  / (({before}) > 0) - 1"


def or_zero(expr: str, others: str, *by: str) -> str:
    """Give 0 to the groups that only `others` has."""
    on = f"on ({', '.join(by)}) " if by else ""
    return f"({expr} or {on}0 * {others})"


def named(expr: str, name: str, otherwise: str) -> str:
    """Name the group that lacks a label: a legend without a name would show the whole query."""
    return f'label_replace({expr}, "{name}", "{otherwise}", "{name}", "")'


def difference(now: str, before: str, *by: str) -> str:
    """Subtract before from now; a group that is new or gone had, or has, nothing."""
    return f"{or_zero(now, before, *by)}\n  - {or_zero(before, now, *by)}"


def share(part: str, whole: str, *kept: str) -> str:
    """Divide each group's part by the whole, or by that of the labels kept."""
    many = f" on ({', '.join(kept)}) group_left ()" if kept else " on () group_left ()"
    return f"{part}\n  /{many} ({whole} > 0)"


def leading(expr: str, ranked_by: str, *by: str, shown: int = SERIES_SHOWN) -> str:
    """Keep the groups that lead at the end of the time range: they stay the same over all of it.

    `ranked_by` is a sum `AT_END`. A line with exemplars is ranked by its own metric, since those
    of all that the query reads are drawn.
    """
    return f"({expr})\n  and on ({', '.join(by)}) topk({shown}, {ranked_by})"


WENT_WELL = f'{OUTCOME}="ok"'
COUNT = 'le="+Inf"'
"""Of buckets: the one that counts everything."""


def error_ratio(
    *by: str,
    matchers: tuple[str, ...] = (),
    offset: str = "",
    is_rate: bool = False,
) -> str:
    """Share of the eligible calls that failed by a fault of the provider or the gateway.

    Each group with calls has a value: without faults it is 0.
    """

    def counted(source: Source) -> str:
        selected = read(source, *matchers)
        return per_second(selected, *by) if is_rate else total(selected, *by, offset=offset)

    faults, eligible = counted(sources.FAILED_CALLS), counted(sources.ELIGIBLE_CALLS)
    return f"{or_zero(faults, eligible, *by)}\n  / ({eligible} > 0)"


def failed_calls(*by: str, offset: str = "") -> str:
    """Count calls over the time range that failed by a fault of the provider or the gateway."""
    return total(read(sources.FAILED_CALLS), *by, offset=offset)


def spend(*by: str, matchers: tuple[str, ...] = (), offset: str = "") -> str:
    """Cost over the time range in US dollars."""
    return total(chosen(sources.COST, by, matchers), *by, offset=offset)


def calls(*by: str, matchers: tuple[str, ...] = (), offset: str = "") -> str:
    """Count calls over the time range."""
    return total(chosen(sources.CALLS, by, matchers), *by, offset=offset)


def tokens(*by: str, matchers: tuple[str, ...] = (), offset: str = "") -> str:
    """Count tokens over the time range, all classes."""
    return total(chosen(sources.TOKENS, by, matchers), *by, offset=offset)


def wait(portion: float, *by: str, matchers: tuple[str, ...] = ()) -> str:
    """What this portion of the callers whose call went well waited at most at each moment.

    In seconds, of the metric itself: a line of few series, with exemplars over any range.
    """
    buckets = select(names.CALL_DURATION, *matchers, WENT_WELL, part="_bucket")
    return quantile(portion, buckets, *by)


def wait_p95(*by: str, matchers: tuple[str, ...] = (), window: str = RATE, offset: str = "") -> str:
    """What 95 of 100 callers whose call went well waited at most, in seconds."""
    source = sources.MODEL_WAITS if MODEL in by else sources.WAITS
    return quantile(0.95, read(source, *matchers), *by, window=window, offset=offset)


def first_chunk(
    portion: float, *by: str, matchers: tuple[str, ...] = (), window: str = RATE, offset: str = ""
) -> str:
    """What this portion of the streamed attempts were without a first chunk at most, in seconds."""
    # The metric's name depends on the generation of the conventions that the gateway prints.
    found = [
        quantile(portion, buckets, *by, window=window, offset=offset)
        for buckets in _first_chunks(by, matchers)
    ]
    return "\n  or ".join(found)


def _first_chunks(by: tuple[str, ...], matchers: tuple[str, ...]) -> tuple[str, str]:
    latest, v1_41 = (
        select(metric, *matchers, part="_bucket")
        for metric in (names.TIME_TO_FIRST, names.OPERATION_TIME_TO_FIRST)
    )
    return (read(sources.FIRST_CHUNKS, *matchers) if MODEL in by else latest), v1_41


def streams(*by: str, matchers: tuple[str, ...] = ()) -> str:
    """Count streamed attempts that got a first chunk, each second."""
    found = [
        per_second(select(metric, *matchers, part="_count"), *by)
        for metric in (names.TIME_TO_FIRST, names.OPERATION_TIME_TO_FIRST)
    ]
    return "\n  or ".join(found)


def streamed(*by: str, matchers: tuple[str, ...] = (), offset: str = "") -> str:
    """Count streamed attempts that got a first chunk, over the time range."""
    found = [
        total(buckets, *by, offset=offset) for buckets in _first_chunks(by, (*matchers, COUNT))
    ]
    return "\n  or ".join(found)


def tried(*by: str, matchers: tuple[str, ...] = (), offset: str = "") -> str:
    """Count attempts over the time range."""
    return total(chosen(sources.ATTEMPTS, by, matchers), *by, offset=offset)


def cache_share(matchers: tuple[str, ...] = (), by: tuple[str, ...] = ()) -> str:
    """Share of the input tokens that was read from a cache, at each moment."""
    cached, whole = (
        per_second(read(source, *matchers), *by)
        for source in (sources.CACHE_READ_TOKENS, sources.INPUT_TOKENS)
    )
    return f"{or_zero(cached, whole, *by)}\n  / ({whole} > 0)"
