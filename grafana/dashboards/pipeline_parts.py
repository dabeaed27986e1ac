"""Pipeline health: the rows of labels within their budgets, and of what goes out over OTLP."""

from grafana import limits
from grafana.by_instance import INSTANCE, LEGEND, chosen, filled, paced
from grafana.panels import BAD, GOOD, WARN, Look, Query, Row, Step, bars, lines
from grafana.queries import per_second
from spanmeter_gateway.alerting.pipeline import (
    COLLECTOR_LOST,
    COLLECTOR_QUEUE_CAPACITY,
    COLLECTOR_QUEUE_SIZE,
)
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.names import label

_LABEL, _RESULT = map(label, (names.LABEL, names.RESULT))
# Of the Collector's own page, as otel-collector.yaml names them; what it loses, the rules name.
_COLLECTOR_FLOW = ("otelcol_receiver_accepted_spans", "otelcol_exporter_sent_spans")
_TEXT_BY_COUNTER = dict(
    zip(
        (*_COLLECTOR_FLOW, *COLLECTOR_LOST),
        (
            "spans received",
            "spans sent",
            "spans not sent",
            "spans without room",
            "spans refused",
            "metric points refused",
        ),
        strict=True,
    )
)


LABELS = Row(
    "Label values within their budgets",
    (
        bars(
            "label-values",
            "Which label is nearly full?",
            description="Distinct values in use by how many are allowed, of each label. From the "
            "orange on new values wait for some minutes of traffic; at 100 % they are counted as "
            "__other__. An identifier in a feature or a tag is the application's mistake; if the "
            "values are right, raise the budget (cardinality).",
            look=Look(
                unit="percentunit",
                decimals=0,
                steps=(Step(GOOD), Step(WARN, limits.LABEL_VALUES_RATIO), Step(BAD, 1)),
                maximum=1,
                no_value="no gateway is scraped",
            ),
            queries=(
                Query(
                    "topk(10, "
                    + filled(chosen(names.LABEL_VALUES), chosen(names.LABEL_BUDGET), _LABEL)
                    + ")",
                    f"{{{{{_LABEL}}}}}",
                    is_instant=True,
                ),
            ),
        ),
        lines(
            "series",
            "How much room is left for series?",
            description="Series in use by how many are allowed (cardinality.series). From the "
            "dashed line on, new combinations of labels are counted without their tags, later "
            "without task and model, at last without their feature. Raise the budget, and "
            "Prometheus' memory with it, or take a key out of tags.labels.",
            look=Look(
                unit="percentunit",
                decimals=0,
                steps=(Step(GOOD), Step(WARN, limits.SERIES_RATIO)),
                maximum=1,
                no_value="no gateway is scraped",
            ),
            queries=(
                Query(
                    "topk(10, "
                    + filled(chosen(names.SERIES), chosen(names.SERIES_BUDGET), INSTANCE)
                    + ")",
                    LEGEND,
                ),
            ),
        ),
        paced(
            "overflow",
            "What is counted as __other__?",
            by=(names.LABEL_OVERFLOW, _LABEL),
            description="Calls a minute whose value found no room and is counted as __other__, by "
            "label; series: for want of room in all together. Sums stay exact, breakdowns do not. "
            "Over 10 calls in 10 minutes an alert opens a ticket.",
            no_value="every value has room",
        ),
    ),
)
TELEMETRY = Row(
    "From the gateway to the backend",
    (
        paced(
            "spans",
            "Do spans arrive?",
            by=(names.SPANS, _RESULT),
            description="Spans a minute by result. Dropped: the queue was full. Failed: refused, "
            "or not taken for 5 minutes. Rejected: the backend took the request without them, see "
            "its log. Lost spans do not come back; metrics and receipts count every call.",
            no_value="no OTLP endpoint is set, or no calls",
        ),
        paced(
            "exports",
            "Do exports of metrics arrive?",
            by=(names.METRIC_EXPORTS, _RESULT),
            description="Exports of all metrics a minute over OTLP, by result. One that failed "
            "does no harm: the next has everything. Going on: look at the address and the log.",
            no_value="no OTLP endpoint is set",
        ),
        lines(
            "queues",
            "Which queue of spans fills?",
            description="How full the queue of spans is: each gateway's, and each exporter's of "
            "the Collector, which no instance filters. Over the dashed line for 5 minutes "
            "an alert opens a ticket; at 100 % spans are dropped: the backend behind it takes them "
            "too slowly, or not at all.",
            look=Look(
                unit="percentunit",
                decimals=0,
                steps=(Step(GOOD), Step(BAD, limits.QUEUE_RATIO)),
                no_value="no OTLP endpoint is set, and no Collector is scraped",
            ),
            queries=(
                Query(
                    "topk(5, "
                    + filled(
                        chosen(names.SPAN_QUEUE_SIZE), chosen(names.SPAN_QUEUE_CAPACITY), INSTANCE
                    )
                    + ")",
                    LEGEND,
                ),
                Query(
                    "topk(5, "
                    + filled(COLLECTOR_QUEUE_SIZE, COLLECTOR_QUEUE_CAPACITY, INSTANCE, "exporter")
                    + ")",
                    f"{LEGEND} {{{{exporter}}}}",
                ),
            ),
        ),
        lines(
            "collector",
            "What does the Collector take, send and lose?",
            description="Spans and points of metrics a minute, of all Collectors that are scraped. "
            "Not sent and without room: lost, its backend is away or slow. Refused: sent again for "
            "5 minutes; its memory limiter says so in its log. Sent is less than received where "
            "tail sampling keeps a part.",
            look=Look(decimals=0, no_value="no Collector is scraped: its page is port 8888"),
            queries=tuple(
                Query(f"60 * {per_second(counter)}", text)
                for counter, text in _TEXT_BY_COUNTER.items()
            ),
        ),
    ),
)
