"""Features: all of them side by side, against last week, and the tasks that they consist of."""

from grafana import by_feature, limits, sources
from grafana.frame import Dashboard
from grafana.panels import Look, Query, Row, limit, lines
from grafana.queries import (
    AT_END,
    FEATURE,
    MODEL,
    PERIOD,
    TASK,
    WEEK,
    calls,
    change,
    difference,
    error_ratio,
    leading,
    mean_wait,
    named,
    per_second,
    read,
    share,
    spend,
    tokens,
    wait_p95,
)
from grafana.tables import Column, by_label

_ERRORS = limit(limits.ERROR_RATIO)


_ALL = Row(
    "All features, against last week",
    (
        by_label(
            "features",
            "What does each feature do, and what changed since last week?",
            FEATURE,
            head="Feature",
            description="Sums over the time range. The arrow behind a number compares with the "
            "same range a week ago: flat within 1 %, blank where there was nothing. Error ratio: "
            "faults of the provider or the gateway only. Waits: of calls that went well, not "
            "counted by task; a p95 of few calls is noise. Click a feature to see it in depth.",
            height=12,
            sort_by="Cost",
            look=Look(no_value="no calls in this time range"),
            columns=(
                Column(name="Calls", expr=calls(FEATURE), decimals=0),
                Column(
                    name="Calls since",
                    expr=change(calls(FEATURE), calls(FEATURE, offset=WEEK)),
                    is_arrow=True,
                    is_good_or_bad=False,
                ),
                Column(name="Tokens", expr=tokens(FEATURE), decimals=1),
                Column(
                    name="Tokens since",
                    expr=change(tokens(FEATURE), tokens(FEATURE, offset=WEEK)),
                    is_arrow=True,
                    is_good_or_bad=False,
                ),
                Column(name="Cost", expr=spend(FEATURE), unit="currencyUSD", decimals=2),
                Column(
                    name="Cost since",
                    expr=change(spend(FEATURE), spend(FEATURE, offset=WEEK)),
                    is_arrow=True,
                ),
                Column(
                    name="More than last week",
                    expr=difference(spend(FEATURE), spend(FEATURE, offset=WEEK), FEATURE),
                    unit="currencyUSD",
                    decimals=2,
                ),
                Column(
                    name="Share of cost",
                    expr=share(spend(FEATURE), spend()),
                    unit="percentunit",
                    decimals=1,
                ),
                Column(
                    name="Error ratio",
                    expr=error_ratio(FEATURE),
                    unit="percentunit",
                    decimals=2,
                    steps=_ERRORS,
                ),
                Column(
                    name="Errors since",
                    expr=change(error_ratio(FEATURE), error_ratio(FEATURE, offset=WEEK)),
                    is_arrow=True,
                ),
                Column(name="Mean wait", expr=mean_wait(FEATURE), unit="s", decimals=2),
                Column(
                    name="p95 wait",
                    expr=wait_p95(FEATURE, window=PERIOD),
                    unit="s",
                    decimals=2,
                    steps=limit(limits.P95_S),
                ),
                Column(
                    name="p95 since",
                    expr=change(
                        wait_p95(FEATURE, window=PERIOD),
                        wait_p95(FEATURE, window=PERIOD, offset=WEEK),
                    ),
                    is_arrow=True,
                ),
            ),
            overrides=(by_feature.CELL,),
        ),
    ),
)
_COURSE = Row(
    "Course",
    (by_feature.spend_rate(), by_feature.call_rate(), by_feature.errors(), by_feature.waits()),
)

_TASK = f"{{{{{TASK}}}}}"


def _by_task(expr: str) -> str:
    return named(expr, TASK, "no task")


_TASKS = Row(
    "Tasks of the chosen features",
    (
        by_label(
            "tasks",
            "Which task costs what?",
            TASK,
            head="Task",
            description="Sums over the time range by the task that calls name (header X-Task); "
            "calls that name none are "
            "no task. Choose a feature above to see "
            "its own tasks. A task with a large share of the cost: look at its models beside.",
            height=9,
            width=12,
            sort_by="Cost",
            look=Look(no_value="no calls in this time range"),
            columns=(
                Column(name="Calls", expr=_by_task(calls(TASK)), decimals=0),
                Column(
                    name="Share of calls",
                    expr=_by_task(share(calls(TASK), calls())),
                    unit="percentunit",
                    decimals=1,
                ),
                Column(name="Cost", expr=_by_task(spend(TASK)), unit="currencyUSD", decimals=2),
                Column(
                    name="Share of cost",
                    expr=_by_task(share(spend(TASK), spend())),
                    unit="percentunit",
                    decimals=1,
                ),
                Column(
                    name="Error ratio",
                    expr=_by_task(error_ratio(TASK)),
                    unit="percentunit",
                    decimals=2,
                    steps=_ERRORS,
                ),
            ),
        ),
        by_label(
            "task-models",
            "Which models does each task use?",
            TASK,
            head="Task",
            further={MODEL: "Model"},
            description="Calls and cost by task and model; the share is that of the task's own "
            "calls. A simple task on a dear model is the first place to save.",
            height=9,
            width=12,
            sort_by="Cost",
            look=Look(no_value="no calls in this time range"),
            columns=(
                Column(name="Calls", expr=_by_task(calls(TASK, MODEL)), decimals=0),
                Column(
                    name="Share of the task",
                    expr=_by_task(share(calls(TASK, MODEL), calls(TASK), TASK)),
                    unit="percentunit",
                    decimals=1,
                ),
                Column(
                    name="Cost", expr=_by_task(spend(TASK, MODEL)), unit="currencyUSD", decimals=2
                ),
            ),
        ),
        lines(
            "task-spend",
            "Which task spends how much an hour?",
            is_stacked=True,
            description="US dollars an hour at the pace of each moment, the ten tasks that lead "
            "over the time range.",
            look=Look(unit="currencyUSD", decimals=2),
            queries=(
                Query(
                    _by_task(
                        leading(
                            f"3600 * {per_second(read(sources.COST), TASK)}",
                            spend(TASK, offset=AT_END),
                            TASK,
                        )
                    ),
                    _TASK,
                ),
            ),
            width=12,
        ),
        lines(
            "task-errors",
            "Which task fails?",
            description="Share of calls that failed by a fault of the provider or the gateway, the "
            "ten tasks with the most calls. The dashed line is the default objective.",
            look=Look(
                unit="percentunit",
                decimals=1,
                steps=_ERRORS,
                no_value="no calls in this time range",
            ),
            queries=(
                Query(
                    _by_task(
                        leading(error_ratio(TASK, is_rate=True), calls(TASK, offset=AT_END), TASK)
                    ),
                    _TASK,
                ),
            ),
            width=12,
        ),
    ),
)
DASHBOARD = Dashboard(
    uid="spanmeter-features",
    description="Every feature's calls, tokens, cost, errors and waits against last week, and the "
    "tasks behind them.",
    rows=(_ALL, _COURSE, _TASKS),
)
