"""Where sums over calls are read: short ranges from the metrics, long ones from recorded sums.

A panel names a series by a hidden variable (`$calls`), and Prometheus says at each load which one
that is. The metric, at all times, unless the range is long and everything that the metrics hold
was recorded as well: so nothing is empty where the rules are not loaded, or were just now. Ranges
of many days read copies of the sums, recorded less often.
"""

from dataclasses import dataclass, replace

from spanmeter_gateway.alerting import series
from spanmeter_gateway.alerting.features import ELIGIBLE, FAULTS
from spanmeter_gateway.alerting.promql import FEATURE, MODEL, OUTCOME, PROVIDER
from spanmeter_gateway.alerting.sums import (
    ANSWERED,
    ERROR,
    INPUT_CLASSES,
    INTERVAL_S,
    OUTPUT_CLASSES,
    SELDOM_S,
    TOKEN_CLASS,
)
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.names import Metric

LONG_S = 12 * 3600
"""A range beyond it reads recorded sums; up to it lines show every scrape."""
LONGER_S = 2 * 24 * 3600
"""A range beyond it reads the copies."""
MAX_POINTS = 100
"""Of a line: `$__rate_interval` of a long range holds two recorded sums then, or two copies."""
SERIES = "series"
"""The label in which Prometheus names the series to read."""
_LOOKBACK_S = 300
"""For so long Prometheus takes a sample for the present."""
_BEFORE = "30d"
"""As far back as a range of 15 days and the one before it reach."""


@dataclass(frozen=True, slots=True)
class Source:
    """One sum. `variable` names the metric's own series or the recorded one."""

    variable: str
    metric: Metric
    recorded: str
    matcher: str = ""
    """What it takes of the metric; a recorded sum lacks the label, so that has to fit, too."""
    part: str = ""
    """`_bucket`, `_sum` or `_count` of a histogram."""
    kept: frozenset[str] | None = None
    """The labels that the recorded sum has; `None`: all that dashboards filter by."""
    is_long: bool = False
    """Of a panel with a long range of its own, whichever the dashboard shows."""

    @property
    def raw(self) -> str:
        """Name the metric's own series."""
        return f"{self.metric.prometheus_name}{self.part}"

    @property
    def seldom(self) -> str:
        """Name the recorded sum's copy."""
        return series.seldom(self.recorded)


def _either(label: str, values: str) -> str:
    return f'{label}=~"{values}|"'


_OF_FEATURE = frozenset({FEATURE})
_OF_MODEL = frozenset({PROVIDER, MODEL})
_OF_PROVIDER = frozenset({PROVIDER})
_WENT_WELL = _either(OUTCOME, "ok")

CALLS = Source("calls", names.CALLS, series.SUM_CALLS)
ELIGIBLE_CALLS = Source(
    "eligible_calls", names.CALLS, series.SUM_ELIGIBLE, _either(OUTCOME, ELIGIBLE)
)
FAILED_CALLS = Source("failed_calls", names.CALLS, series.SUM_FAULTS, _either(OUTCOME, FAULTS))
COST = Source("cost", names.COST, series.SUM_COST)
TOKENS = Source("tokens", names.TOKENS, series.SUM_TOKENS)
INPUT_TOKENS = Source(
    "input_tokens", names.TOKENS, series.SUM_INPUT, _either(TOKEN_CLASS, INPUT_CLASSES)
)
OUTPUT_TOKENS = Source(
    "output_tokens", names.TOKENS, series.SUM_OUTPUT, _either(TOKEN_CLASS, OUTPUT_CLASSES)
)
CACHE_READ_TOKENS = Source(
    "cache_read_tokens", names.TOKENS, series.SUM_CACHE_READ, _either(TOKEN_CLASS, "cache_read")
)
ATTEMPTS = Source("attempts", names.ATTEMPTS, series.SUM_ATTEMPTS)
WAITS = Source(
    "waits", names.CALL_DURATION, series.SUM_WAITS_BY_FEATURE, _WENT_WELL, "_bucket", _OF_FEATURE
)
WAIT_SECONDS = Source(
    "wait_seconds", names.CALL_DURATION, series.SUM_WAIT_SECONDS, _WENT_WELL, "_sum", _OF_FEATURE
)
MODEL_WAITS = Source(
    "model_waits", names.CALL_DURATION, series.SUM_WAITS_BY_MODEL, _WENT_WELL, "_bucket", _OF_MODEL
)
FIRST_CHUNKS = Source(
    "first_chunks", names.TIME_TO_FIRST, series.SUM_FIRST_CHUNKS, "", "_bucket", _OF_MODEL
)
ANSWERS = Source(
    "answers", names.INFERENCE_DURATION, series.SUM_ANSWERS, f'{ANSWERED}!=""', "_count", _OF_MODEL
)
CALL_ERRORS = Source(
    "call_errors", names.CALLS, series.SUM_CALL_ERRORS, f'{ERROR}!=""', "", _OF_PROVIDER
)
ATTEMPT_ERRORS = Source(
    "attempt_errors", names.ATTEMPTS, series.SUM_ATTEMPT_ERRORS, f'{ERROR}!=""', "", _OF_PROVIDER
)
UNPRICED = Source("unpriced", names.UNPRICED, series.SUM_UNPRICED, kept=_OF_MODEL)
UNMETERED = Source("unmetered", names.UNMETERED, series.SUM_UNMETERED, kept=_OF_MODEL)

DAILY_CALLS, DAILY_INPUT, DAILY_OUTPUT = (
    replace(source, variable=f"daily_{source.variable}", is_long=True)
    for source in (CALLS, INPUT_TOKENS, OUTPUT_TOKENS)
)

ALL = (
    CALLS, ELIGIBLE_CALLS, FAILED_CALLS, COST, TOKENS, INPUT_TOKENS, OUTPUT_TOKENS,
    CACHE_READ_TOKENS, ATTEMPTS, WAITS, WAIT_SECONDS, MODEL_WAITS, FIRST_CHUNKS, ANSWERS,
    CALL_ERRORS, ATTEMPT_ERRORS, UNPRICED, UNMETERED, DAILY_CALLS, DAILY_INPUT, DAILY_OUTPUT,
)  # fmt: skip


def choice(source: Source, others: tuple[str, ...]) -> str:
    """Ask Prometheus which series to read; it answers with one, whose label `series` names it.

    `others` are the variables by whose labels the recorded sum cannot be filtered: it is read only
    while all of them stand at All, which is `.*`.
    """
    copied = _there(
        series.seldom(series.SUMS_RECORDED), SELDOM_S, beyond_s=0 if source.is_long else LONGER_S
    )
    summed = _there(series.SUMS_RECORDED, INTERVAL_S, beyond_s=0 if source.is_long else LONG_S)
    asked = (
        _named(source.seldom, copied, otherwise=source.raw, others=others),
        _named(source.recorded, summed, otherwise=source.raw, others=others),
        f'label_replace(vector(1), "{SERIES}", "{source.raw}", "", "")',
    )
    return "\n  or on () ".join(asked)


def _named(name: str, there: str, *, otherwise: str, others: tuple[str, ...]) -> str:
    if not others:
        return f'label_replace({there}, "{SERIES}", "{name}", "", "")'
    chosen = "".join(f"${{{other}}}" for other in others)
    noted = f'label_replace({there}, "chosen", "{chosen}", "", "")'
    at_first = f'label_replace({noted}, "{SERIES}", "{otherwise}", "", "")'
    return f'label_replace({at_first}, "{SERIES}", "{name}", "chosen", "[.*]+")'


def _there(recorded: str, interval_s: int, *, beyond_s: int) -> str:
    # There, if the range is long, and if no gateway was scraped while nothing was recorded. That is
    # asked of a gateway that was there for a while, as the rules begin some minutes after it; and
    # what was recorded right before Prometheus itself went away counts.
    since_s = 4 * interval_s
    mark = f"group(last_over_time({recorded}[{since_s + interval_s + _LOOKBACK_S}s]))"
    gateway = f"group({names.BUILD_INFO.prometheus_name} offset {since_s}s)"
    unrecorded = f"({gateway} unless on () {mark})"
    long = f" and on () vector($__range_s) > {beyond_s}" if beyond_s else ""
    return f"({mark}{long}\n    unless on () count_over_time({unrecorded}[{_BEFORE}:1h]))"
