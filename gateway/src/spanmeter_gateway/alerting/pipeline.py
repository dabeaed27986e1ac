"""Whether metrics, spans and receipts arrive: losses, silence, queues, and that alerting works.

Of our counters those of losses stand at 0 from the start, so `increase` sees the first one; one of
the Collector appears with its first event, so its alert needs a next one. All are a handful of
series an instance, so their last value may be looked for a day back.
"""

from collections.abc import Callable

from spanmeter_gateway.alerting import places, series
from spanmeter_gateway.alerting.features import BEHIND_S
from spanmeter_gateway.alerting.promql import TEAM, text
from spanmeter_gateway.alerting.rule import DAY_S, MINUTE_S, Alert, Clock, Group
from spanmeter_gateway.alerting.slo import Slo
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.names import label

# Of the Collector's own page, as otel-collector.yaml names them: without suffixes and units.
COLLECTOR_QUEUE_SIZE = "otelcol_exporter_queue_size"
COLLECTOR_QUEUE_CAPACITY = "otelcol_exporter_queue_capacity"
COLLECTOR_LOST = (
    "otelcol_exporter_send_failed_spans",
    "otelcol_exporter_enqueue_failed_spans",
    "otelcol_receiver_refused_spans",
    "otelcol_receiver_refused_metric_points",
)
COLLECTOR = (COLLECTOR_QUEUE_SIZE, COLLECTOR_QUEUE_CAPACITY, *COLLECTOR_LOST)
"""All that rules read of it."""

LOST_RATIO = 0.01
"""Of the spans: traces are examples; metrics and receipts count every call."""
LOST_SPANS = 10
"""In 15 minutes, of 4 calls or so: fewer are no loss of sight."""
FAILED_EXPORTS = 3
"""Of 15 in 15 minutes: the next export makes good for one that failed."""
REFUSED_RATIO = 0.01
"""Of the calls: what an error budget of 99 % would allow."""
REFUSED_CONNECTIONS = 10
"""In 15 minutes; a client tries again."""
FULL_RATIO = 0.7
"""The rest is the time to act: at a steady pace three sevenths of what it took so far."""
_PAIR = label(names.PAIR)
_REASON = label(names.REASON)
_RESULT = label(names.RESULT)
_QUARTER_S = 15 * MINUTE_S
_COUNT = '{{ $value | printf "%.0f" }}'
_SHARE = "{{ $value | humanizePercentage }}"


def groups(slo: Slo, clock: Clock) -> tuple[Group, ...]:
    """List the alerts on the way that numbers take."""
    return (Group("spanmeter-pipeline", MINUTE_S, tuple(make(slo, clock) for make in _ALERTS)),)


def _receipts_dropped(slo: Slo, clock: Clock) -> Alert:
    counter = names.RECEIPTS_DROPPED.prometheus_name
    return Alert(
        alert="SpanmeterReceiptsDropped",
        expr=f"sum by ({_REASON}) ({counter} - {_before(clock, counter)} > 0\n"
        f"  or {_increase(clock, counter)} > 0)",
        severity="ticket",
        summary=f"{_COUNT} receipts are lost ({{{{ $labels.{_REASON} }}}})",
        description=f"{_COUNT} receipts were dropped in the last 15 minutes "
        f"({{{{ $labels.{_REASON} }}}}); normal is none. The calls were served, and are in no "
        "metric, span or sum, for good.",
        dashboard=places.PIPELINE,
        labels={TEAM: slo.default_team},
    )


def _reconciliation(slo: Slo, clock: Clock) -> Alert:
    gauge = names.RECONCILIATION.prometheus_name
    return Alert(
        alert="SpanmeterReconciliationDifference",
        # Two of the three stay for good, so a change is told; one that went to 0 is good news.
        expr=f"{gauge} != {_before(clock, gauge)}\n  and {gauge} != 0",
        severity="ticket",
        summary=f"Two counts of the same differ: {{{{ $labels.{_PAIR} }}}}",
        description=f"{{{{ $labels.{_PAIR} }}}} of {{{{ $labels.instance }}}} differ by "
        f"{_COUNT}, and it changed in the last 15 minutes; equal counts differ by 0. Unless "
        "another counter names what was dropped, this is a fault of the gateway.",
        dashboard=places.PIPELINE,
        # A commit and a scrape may meet in between.
        for_s=5 * MINUTE_S,
        labels={TEAM: slo.default_team},
    )


def _before(clock: Clock, metric: str) -> str:
    # What it was before the last 15 minutes, over an outage of hours: books that were away
    # tell of their losses with the first scrape after it.
    return f"last_over_time({metric}[{clock.range(DAY_S)}] offset {clock.range(_QUARTER_S)})"


def _telemetry_absent(slo: Slo, _clock: Clock) -> Alert:
    down = f"up{{job={text(slo.job)}}} == 0"
    return Alert(
        alert="SpanmeterTelemetryAbsent",
        # The second, without an instance, is all of them: it alone silences the features' alerts.
        expr=f"{down}\n  or absent({names.BUILD_INFO.prometheus_name})",
        severity="page",
        summary="No telemetry of {{ with $labels.instance }}{{ . }}{{ else }}any gateway"
        "{{ end }}: its alerts are blind",
        description="{{ with $labels.instance }}{{ . }} was not scraped{{ else }}No gateway's "
        "series were there{{ end }} for 5 minutes; allowed is no minute. Calls may go on: what "
        "they do and cost is not seen meanwhile, and no other alert can tell.",
        dashboard=places.PIPELINE,
        # Longer than books take to start again, and than a scrape or two that fail.
        for_s=5 * MINUTE_S,
        labels={TEAM: slo.default_team},
    )


def _books_behind(slo: Slo, clock: Clock) -> Alert:
    return Alert(
        alert="SpanmeterBooksBehind",
        expr=f"{names.BOOKS_LAG.prometheus_name} > {clock.seconds(BEHIND_S)}",
        # Alerts on rates hold meanwhile: nothing else would wake anybody.
        severity="page",
        summary="Books of {{ $labels.instance }} are {{ $value | humanizeDuration }} behind",
        description="The oldest receipt that the books of {{ $labels.instance }} have not "
        "entered is {{ $value | humanizeDuration }} old; normal is under 2s, told over "
        f"{BEHIND_S}s. Calls go on, but all alerts on rates hold until the books are up to "
        "date.",
        dashboard=places.PIPELINE,
        # A backlog of hours is entered within seconds, and shown for 90 s.
        for_s=5 * MINUTE_S,
        labels={TEAM: slo.default_team},
    )


def _spans_lost(slo: Slo, clock: Clock) -> Alert:
    spans, exports = names.SPANS.prometheus_name, names.METRIC_EXPORTS.prometheus_name
    lost = _increase(clock, f'{spans}{{{_RESULT}=~"rejected|dropped|failed"}}')
    failed = _increase(clock, f'{exports}{{{_RESULT}=~"rejected|failed"}}')
    return Alert(
        alert="SpanmeterSpansLost",
        expr=_called(
            "spans",
            f"sum by ({_RESULT}) ({lost}) >= {LOST_SPANS}\n"
            f"  and sum by ({_RESULT}) ({lost}) > on () group_left ()"
            f" {LOST_RATIO:g} * sum({_increase(clock, spans)})",
        )
        + "\n  or "
        + _called("exports of metrics", f"sum by ({_RESULT}) ({failed}) >= {FAILED_EXPORTS}"),
        severity="ticket",
        summary=f"The OpenTelemetry backend misses {{{{ $labels.name }}}} "
        f"({{{{ $labels.{_RESULT} }}}})",
        description=f"{_COUNT} {{{{ $labels.name }}}} of the last 15 minutes were "
        f"{{{{ $labels.{_RESULT} }}}}; told are {LOST_SPANS} spans that are over "
        f"{LOST_RATIO * 100:g}% of all, or {FAILED_EXPORTS} exports. Spans do not come back; "
        "metrics do with the next export that is taken, and /metrics is whole.",
        dashboard=places.PIPELINE,
        for_s=10 * MINUTE_S,
        labels={TEAM: slo.default_team},
    )


def _collector_failing(slo: Slo, clock: Clock) -> Alert:
    return Alert(
        alert="SpanmeterCollectorExportFailing",
        expr="\n  or ".join(
            _called(name, f"{_increase(clock, name)} > 0") for name in COLLECTOR_LOST
        ),
        severity="ticket",
        summary="The Collector {{ $labels.instance }} loses or refuses telemetry",
        description=f"{{{{ $labels.name }}}} of {{{{ $labels.instance }}}} grew by {_COUNT} in "
        "the last 15 minutes, and goes on for 20; normal is 0. What an exporter cannot send is "
        "lost; what a receiver refuses is sent again for 5 minutes.",
        dashboard=places.PIPELINE,
        # Longer than the window: one batch that was refused is no ticket, going on is.
        for_s=20 * MINUTE_S,
        labels={TEAM: slo.default_team},
    )


def _queue_filling(slo: Slo, _clock: Clock) -> Alert:
    own = f"{names.SPAN_QUEUE_SIZE.prometheus_name} / {names.SPAN_QUEUE_CAPACITY.prometheus_name}"
    return Alert(
        alert="SpanmeterQueueFilling",
        expr=f"{own} > {FULL_RATIO:g}\n"
        f"  or {COLLECTOR_QUEUE_SIZE} / {COLLECTOR_QUEUE_CAPACITY} > {FULL_RATIO:g}",
        severity="ticket",
        summary=f"A queue of {{{{ $labels.instance }}}} is {_SHARE} full",
        description="The queue of spans of {{ $labels.instance }}"
        "{{ with $labels.exporter }} for {{ . }}{{ end }} "
        f"is {_SHARE} full; told over {FULL_RATIO * 100:g}%. At 100% spans are dropped: the "
        "backend behind it takes them too slowly, or not at all.",
        dashboard=places.PIPELINE,
        # A burst is gone sooner; the gateway gives a span up after 5 minutes.
        for_s=5 * MINUTE_S,
        labels={TEAM: slo.default_team},
    )


def _connections_refused(slo: Slo, clock: Clock) -> Alert:
    quarter = clock.range(_QUARTER_S)
    # Not `slow` and `malformed`: attacks and scanners, and nobody's call.
    chosen = f'{{{_REASON}=~"max_connections|per_address"}}'
    counter = names.CONNECTIONS_REFUSED.prometheus_name + chosen
    refused = f"sum by ({_REASON}) ({_increase(clock, counter)})"
    calls = f"sum(avg_over_time({series.CALLS_RATE_5M}[{quarter}])) or vector(0)"
    allowed = f"{REFUSED_RATIO:g} * {clock.seconds(_QUARTER_S)} * scalar({calls})"
    return Alert(
        alert="SpanmeterConnectionsRefused",
        expr=f"{refused} >= {REFUSED_CONNECTIONS}\n  and {refused} > {allowed}",
        severity="ticket",
        summary=f"Callers are turned away ({{{{ $labels.{_REASON} }}}})",
        description=f"{_COUNT} connections of callers were refused in the last 15 minutes "
        f"({{{{ $labels.{_REASON} }}}}); told are {REFUSED_CONNECTIONS} that are over "
        f"{REFUSED_RATIO * 100:g}% of the calls. They are no calls, so no error budget shows "
        "them.",
        dashboard=places.PIPELINE,
        for_s=5 * MINUTE_S,
        labels={TEAM: slo.default_team},
    )


def _config_refused(slo: Slo, _clock: Clock) -> Alert:
    return Alert(
        alert="SpanmeterConfigRefused",
        expr=f"{names.LAST_RELOAD_OK.prometheus_name} == 0",
        severity="ticket",
        summary="{{ $labels.instance }} refuses its new configuration",
        description="The configuration on disk of {{ $labels.instance }} is refused for 5 "
        "minutes, and the one before is in force; a start would fail. Its log names file and "
        "key.",
        dashboard=places.PIPELINE,
        # It is tried again every second: somebody who edits has a moment.
        for_s=5 * MINUTE_S,
        labels={TEAM: slo.default_team},
    )


def _watchdog(slo: Slo, _clock: Clock) -> Alert:
    return Alert(
        alert="SpanmeterWatchdog",
        expr="vector(1)",
        severity="none",
        summary="Alerting works",
        description="Always fires ({{ $value }}). When it stops coming, Prometheus, its rules "
        "or Alertmanager do not work: let the receiver watch for it.",
        dashboard=places.PIPELINE,
        labels={TEAM: slo.default_team},
    )


def _called(what: str, expr: str) -> str:
    return f'label_replace({expr}, "name", "{what}", "", "")'


def _increase(clock: Clock, counter: str, seconds: int = _QUARTER_S) -> str:
    return f"increase({counter}[{clock.range(seconds)}])"


_ALERTS: tuple[Callable[[Slo, Clock], Alert], ...] = (
    _receipts_dropped,
    _reconciliation,
    _telemetry_absent,
    _books_behind,
    _spans_lost,
    _collector_failing,
    _queue_filling,
    _connections_refused,
    _config_refused,
    _watchdog,
)
