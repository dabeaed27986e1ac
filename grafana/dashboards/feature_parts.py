"""Feature in depth: the row that says which models, tasks and tags one feature is made of."""

from collections.abc import Callable
from dataclasses import replace

from grafana import limits
from grafana.panels import (
    Look,
    Row,
    limit,
)
from grafana.queries import (
    MODEL,
    ONE_FEATURE,
    PROVIDER,
    TAG_KEYS,
    TASK,
    calls,
    error_ratio,
    named,
    share,
    spend,
    tag_label,
    tried,
)
from grafana.tables import Column, by_label

_ONE = (ONE_FEATURE,)
_NO_CALLS = "no calls in this time range"
_ERRORS = limit(limits.ERROR_RATIO)


def _spend(*by: str, offset: str = "") -> str:
    return spend(*by, matchers=_ONE, offset=offset)


def _calls(*by: str, offset: str = "") -> str:
    return calls(*by, matchers=_ONE, offset=offset)


def _breakdown(*by: str) -> tuple[Column, ...]:
    return (
        Column(name="Cost", expr=_spend(*by), unit="currencyUSD", decimals=2),
        Column(
            name="Share of cost", expr=share(_spend(*by), _spend()), unit="percentunit", decimals=1
        ),
        Column(name="Calls", expr=_calls(*by), decimals=0),
        Column(
            name="Cost a call",
            expr=f"{_spend(*by)}\n  / ({_calls(*by)} > 0)",
            unit="currencyUSD",
            decimals=5,
        ),
        Column(
            name="Error ratio",
            expr=error_ratio(*by, matchers=_ONE),
            unit="percentunit",
            decimals=2,
            steps=_ERRORS,
        ),
        Column(
            name="Attempts a call",
            expr=f"{tried(*by, matchers=_ONE)}\n  / ({_calls(*by)} > 0)",
            decimals=2,
        ),
    )


def _by_task() -> tuple[Column, ...]:
    return tuple(replace(each, expr=named(each.expr, TASK, "no task")) for each in _breakdown(TASK))


def _of_every_tag(counted: Callable[[str, str], str]) -> str:
    # A row for each value of each key: the calls without a key are in no row of it.
    parts = []
    for key in TAG_KEYS:
        name = tag_label(key)
        sums = counted(name, f'{name}!=""')
        valued = f'label_join({sums}, "value", "", "{name}")'
        parts.append(f'label_replace({valued}, "tag", "{key}", "", "")')
    union = "\n  or ".join(parts)
    return f"sum by (tag, value) ({union})"


_TAG_COLUMNS = (
    Column(
        name="Cost",
        expr=_of_every_tag(lambda name, given: spend(name, matchers=(*_ONE, given))),
        unit="currencyUSD",
        decimals=2,
    ),
    Column(
        name="Calls",
        expr=_of_every_tag(lambda name, given: calls(name, matchers=(*_ONE, given))),
        decimals=0,
    ),
    Column(
        name="Error ratio",
        expr=_of_every_tag(lambda name, given: error_ratio(name, matchers=(*_ONE, given))),
        unit="percentunit",
        decimals=2,
        steps=_ERRORS,
    ),
)
PARTS = Row(
    "What it is made of",
    (
        by_label(
            "models",
            "Which models does it use, and at what cost?",
            MODEL,
            head="Model",
            further={PROVIDER: "Provider"},
            description="Sums over the time range by the model that was asked. Attempts a call: 1 "
            "where every call was sent, less where some were denied; an SDK's retries are calls of "
            "their own. If a cheaper model serves the same task elsewhere, try it here.",
            height=8,
            sort_by="Cost",
            look=Look(no_value=_NO_CALLS),
            columns=_breakdown(MODEL, PROVIDER),
        ),
        by_label(
            "tasks",
            "Which tasks does it have?",
            TASK,
            head="Task",
            description="Sums over the time range by the task that calls name (header X-Task). "
            "A feature with one row, no task, can be split by naming them.",
            height=8,
            width=14,
            sort_by="Cost",
            look=Look(no_value=_NO_CALLS),
            columns=_by_task(),
        ),
        by_label(
            "tags",
            "Which tags do its calls carry?",
            "tag",
            head="Tag",
            further={"value": "Value"},
            description="Sums over the time range by each tag key that is a label (tags.labels). A "
            "call is in a row of every key that it has, so rows add up only within a key. Empty: "
            "no call has such a tag; send the header X-Tags.",
            height=8,
            width=10,
            sort_by="Cost",
            look=Look(no_value="no tags in this time range"),
            columns=_TAG_COLUMNS,
        ),
    ),
)
