"""Pipeline health: whether every call is counted, and what is lost on the way of the numbers.

By instance of the gateway, not by feature. docs/operations.md says what to do about each number.
"""

from grafana import limits
from grafana.by_instance import (
    INSTANCE,
    LEGEND,
    ON_TARGET,
    VARIABLE,
    chosen,
    each,
    grown,
    paced,
    up,
)
from grafana.dashboards.pipeline_parts import LABELS, TELEMETRY
from grafana.frame import Dashboard
from grafana.panels import BAD, GOOD, Look, Query, Row, Step, lines, stat
from grafana.queries import per_second, total
from grafana.tables import Column, by_label
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.names import label

_PAIR, _REASON, _RESULT = map(label, (names.PAIR, names.REASON, names.RESULT))
_VERSION = label(names.VERSION)
_ZERO_OR_BAD = (Step(GOOD), Step(BAD, 1))
_ONE_OR_BAD = (Step(BAD), Step(GOOD, 1))


def _generation() -> str:
    build = chosen(names.BUILD_INFO)
    found = f"{chosen(names.CONFIG_GENERATION)} * {ON_TARGET} group_left ({_VERSION}) {build}"
    return f"max by ({INSTANCE}, {_VERSION}) ({found})"


_GATEWAYS = Row(
    "Gateways",
    (
        by_label(
            "gateways",
            "Which gateways run, which version, with which configuration?",
            INSTANCE,
            head="Instance",
            further={_VERSION: "Version"},
            description="Each gateway that was there in the time range. Up 0: its numbers are not "
            "scraped; calls may go on. Configuration: the number of the one in force; it begins at "
            "1 with each start. Last reload 0: what is on disk is refused, the one before is in "
            "force, the log names file and key. Two versions at once: an upgrade is half-way.",
            width=14,
            height=7,
            look=Look(no_value="no gateway is scraped: look at Prometheus' targets"),
            columns=(
                Column(name="Configuration", expr=_generation(), decimals=0),
                Column(name="Up", expr=up(), decimals=0, steps=_ONE_OR_BAD),
                Column(
                    name="Last reload",
                    expr=each(names.LAST_RELOAD_OK),
                    decimals=0,
                    steps=_ONE_OR_BAD,
                ),
                Column(
                    name="Refused reloads",
                    expr=total(chosen(names.CONFIG_RELOADS, f'{_RESULT}="refused"'), INSTANCE),
                    decimals=0,
                    steps=_ZERO_OR_BAD,
                ),
                Column(name="Calls now", expr=each(names.REQUESTS_ACTIVE), decimals=0),
            ),
        ),
        stat(
            "losses",
            "What was lost in the time range?",
            description="Receipts dropped: their calls were served, and are in no sum, for good. "
            "Lost calls: closed by the books because their relay died. Commits: tried again, "
            "nothing is lost. Broken segments: kept in spool/quarantine, not counted. Anything but "
            "0 is explained in docs/operations.md.",
            width=10,
            height=7,
            look=Look(decimals=0, steps=_ZERO_OR_BAD, no_value="no gateway is scraped"),
            queries=tuple(
                Query(expr, name, is_instant=True)
                for name, expr in (
                    ("receipts dropped", grown(names.RECEIPTS_DROPPED)),
                    ("relay-lost calls", grown(names.RELAY_LOST)),
                    ("failed commits", grown(names.COMMIT_FAILURES)),
                    ("broken segments", grown(names.SEGMENTS, f'{_RESULT}="quarantined"')),
                )
            ),
        ),
    ),
)
_RECEIPTS = Row(
    "From a call to its receipt",
    (
        lines(
            "active",
            "How many calls are under way?",
            description="Requests that the relays of each gateway are working on. Rising without "
            "end: a provider hangs; look at Models and providers.",
            look=Look(decimals=0, no_value="no gateway is scraped"),
            queries=(Query(f"topk(10, {each(names.REQUESTS_ACTIVE)})", LEGEND),),
        ),
        lines(
            "entered",
            "How many receipts are entered, and how many late?",
            description="Receipts a minute that the books entered, one a call, and of them those "
            "whose call had ended over 60 s before. Standing still while calls are under way: look "
            "at the books' lag beside.",
            look=Look(decimals=1, no_value="no receipts in this time range"),
            queries=(
                Query(f"60 * {per_second(chosen(names.RECEIPTS_ENTERED))}", "entered"),
                Query(f"60 * {per_second(chosen(names.RECEIPTS_LATE))}", "late"),
            ),
        ),
        lines(
            "lag",
            "How far behind are the books?",
            description="Age of the oldest receipt that is not entered, the highest of 90 s; "
            "normal is under 2 s. From the dashed line on an alert pages, and alerts on rates hold "
            "until the backlog is entered. The disk, the books' CPU, or commits that fail.",
            look=Look(
                unit="s",
                decimals=1,
                steps=(Step(GOOD), Step(BAD, limits.BOOKS_LAG_S)),
                no_value="no gateway is scraped",
            ),
            queries=(Query(f"topk(10, {each(names.BOOKS_LAG)})", LEGEND),),
        ),
        paced(
            "segments",
            "Are spool segments read whole?",
            width=6,
            by=(names.SEGMENTS, _RESULT),
            description="Spool segments a minute by result. Quarantined: broken, its receipts are "
            "missing. Parked: of a newer version, entered after an upgrade. Both are kept in the "
            "spool's folders of these names.",
            no_value="no segments in this time range",
        ),
        paced(
            "dropped",
            "Why are receipts dropped?",
            width=6,
            by=(names.RECEIPTS_DROPPED, _REASON),
            description="Receipts a minute that were lost, by reason; normal is 0. spool_full: why "
            "do the books lag? spool_error: the disk. spool_backlog: a faster disk. entry_failed: "
            "our fault, see the log. segment_lost: look into spool/quarantine.",
            no_value="none was dropped",
        ),
        lines(
            "reconciliation",
            "Do independent counts agree?",
            width=6,
            description="What two counts of the same differ by: receipts written and entered, "
            "receipts and calls counted, receipts and spans. 0 is normal. The first two stay; a "
            "difference that no drop beside it explains is a fault of the gateway: report it.",
            look=Look(decimals=0, minimum=None, no_value="no gateway is scraped"),
            queries=(
                Query(f"sum by ({_PAIR}) ({chosen(names.RECONCILIATION)})", f"{{{{{_PAIR}}}}}"),
            ),
        ),
        paced(
            "refused",
            "Which connections are refused, and why?",
            width=6,
            by=(names.CONNECTIONS_REFUSED, _REASON),
            description="Callers' connections a minute that were refused or cut off; they are no "
            "calls. max_connections and per_address: more callers than limits allow, or clients "
            "that open one for each call. slow and malformed: attacks, scanners, bad networks.",
            no_value="none was refused",
        ),
    ),
)
DASHBOARD = Dashboard(
    uid="spanmeter-pipeline",
    description="Whether every call is counted: receipts, spool, books, labels, spans and the "
    "Collector, by instance of the gateway.",
    rows=(_GATEWAYS, _RECEIPTS, LABELS, TELEMETRY),
    variables=(),
    own_variables=(VARIABLE,),
)
