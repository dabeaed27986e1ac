"""Every piece of PromQL that dashboards are made of: selections, sums, ratios, quantiles.

A panel filters by a variable only where its metric carries the label, or it would be empty.
"""

from grafana.panels import SERIES_SHOWN
from spanmeter_gateway.alerting.features import ELIGIBLE, FAULTS
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
INPUT_CLASSES = "input|cache_read|cache_write"
OUTPUT_CLASSES = "output|reasoning"
"""The classes of tokens that a model reads, and those that it writes."""
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
    carried = labels_of(metric)
    given = {each.partition("=")[0] for each in matchers}
    filters = [
        f'{name}=~"${variable}"'
        for variable, name in LABEL_BY_VARIABLE.items()
        if name in carried and name not in given and (by is None or variable in by)
    ]
    inside = ",".join((*filters, *matchers))
    return f"{metric.prometheus_name}{part}{{{inside}}}"


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


def mean(metric: Metric, *by: str, matchers: tuple[str, ...] = (), window: str = PERIOD) -> str:
    """Divide a histogram's sum by its count."""
    amount = total(select(metric, *matchers, part="_sum"), *by, window=window)
    calls = total(select(metric, *matchers, part="_count"), *by, window=window)
    return f"{amount}\n  / ({calls} > 0)"


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
FAULTY = f'{OUTCOME}=~"{FAULTS}"'
ELIGIBLE_ONLY = f'{OUTCOME}=~"{ELIGIBLE}"'


def error_ratio(
    *by: str,
    matchers: tuple[str, ...] = (),
    window: str = PERIOD,
    offset: str = "",
    is_rate: bool = False,
) -> str:
    """Share of the eligible calls that failed by a fault of the provider or the gateway.

    Each group with calls has a value: without faults it is 0.
    """

    def counted(matcher: str) -> str:
        selected = select(names.CALLS, *matchers, matcher)
        return (
            per_second(selected, *by)
            if is_rate
            else total(selected, *by, window=window, offset=offset)
        )

    faults, eligible = counted(FAULTY), counted(ELIGIBLE_ONLY)
    return f"{or_zero(faults, eligible, *by)}\n  / ({eligible} > 0)"


def spend(*by: str, matchers: tuple[str, ...] = (), offset: str = "") -> str:
    """Cost over the time range in US dollars."""
    return total(select(names.COST, *matchers), *by, offset=offset)


def calls(*by: str, matchers: tuple[str, ...] = (), offset: str = "") -> str:
    """Count calls over the time range."""
    return total(select(names.CALLS, *matchers), *by, offset=offset)


def tokens(*by: str, matchers: tuple[str, ...] = (), offset: str = "") -> str:
    """Count tokens over the time range, all classes."""
    return total(select(names.TOKENS, *matchers), *by, offset=offset)


def wait(
    portion: float,
    *by: str,
    matchers: tuple[str, ...] = (),
    window: str = RATE,
    offset: str = "",
) -> str:
    """What this portion of the callers whose call went well waited at most, in seconds."""
    buckets = select(names.CALL_DURATION, *matchers, WENT_WELL, part="_bucket")
    return quantile(portion, buckets, *by, window=window, offset=offset)


def wait_p95(*by: str, matchers: tuple[str, ...] = (), window: str = RATE, offset: str = "") -> str:
    """What 95 of 100 callers whose call went well waited at most, in seconds."""
    return wait(0.95, *by, matchers=matchers, window=window, offset=offset)


def first_chunk(
    portion: float, *by: str, matchers: tuple[str, ...] = (), window: str = RATE, offset: str = ""
) -> str:
    """What this portion of the streamed attempts were without a first chunk at most, in seconds."""
    # The metric's name depends on the generation of the conventions that the gateway prints.
    found = [
        quantile(
            portion, select(metric, *matchers, part="_bucket"), *by, window=window, offset=offset
        )
        for metric in (names.TIME_TO_FIRST, names.OPERATION_TIME_TO_FIRST)
    ]
    return "\n  or ".join(found)


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
        total(select(metric, *matchers, part="_count"), *by, offset=offset)
        for metric in (names.TIME_TO_FIRST, names.OPERATION_TIME_TO_FIRST)
    ]
    return "\n  or ".join(found)


def tried(*by: str, matchers: tuple[str, ...] = (), offset: str = "") -> str:
    """Count attempts over the time range."""
    return total(select(names.ATTEMPTS, *matchers), *by, offset=offset)


def cache_share(matchers: tuple[str, ...] = (), by: tuple[str, ...] = ()) -> str:
    """Share of the input tokens that was read from a cache, at each moment."""
    read, whole = (
        per_second(select(names.TOKENS, *matchers, f'{TOKEN_CLASS}=~"{classes}"'), *by)
        for classes in ("cache_read", INPUT_CLASSES)
    )
    return f"{or_zero(read, whole, *by)}\n  / ({whole} > 0)"
