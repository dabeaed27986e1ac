"""Models and providers: what each costs, how fast and how sound it is, and what is not counted."""

from dataclasses import replace

from grafana import limits, sources
from grafana.comparisons import compared
from grafana.dashboards.models_parts import ANSWERS, SPEED, named_both, unknown_ratio
from grafana.frame import Dashboard
from grafana.panels import COST, Look, Panel, Query, Row, Step, limit, lines
from grafana.queries import (
    AT_END,
    DAY,
    ERROR,
    MODEL,
    PERIOD,
    PROVIDER,
    WEEK,
    cache_share,
    calls,
    change,
    error_ratio,
    first_chunk,
    leading,
    named,
    or_zero,
    per_second,
    read,
    spend,
    tokens,
    total,
    tried,
    wait_p95,
)
from grafana.sources import Source
from grafana.tables import Column, by_label

_NO_CALLS = "no calls in this time range"
_ERRORS = limit(limits.ERROR_RATIO)
_FIRST = limit(limits.FIRST_CHUNK_P95_S)
_TEN = "The ten models that lead over the time range."
_SHOWN_DAYS = "7d"


def _model(expr: str) -> str:
    return named(expr, MODEL, "no model")


def _provider(expr: str) -> str:
    return named(expr, PROVIDER, "no provider")


def _per_million(*by: str, offset: str = "") -> str:
    return f"1e6 * {spend(*by, offset=offset)}\n  / ({tokens(*by, offset=offset)} > 0)"


def _attempts_a_call(*by: str, offset: str = "") -> str:
    return f"{tried(*by, offset=offset)}\n  / ({calls(*by, offset=offset)} > 0)"


_STATS = (
    compared(
        "per-million",
        "Cost per million tokens",
        "US dollars that a million tokens of all classes cost over the time range. It rises "
        "with dearer models, longer answers and missed caches: see below which model it is.",
        look=Look(unit="currencyUSD", decimals=2, steps=(Step(COST),)),
        now=_per_million(),
        before=_per_million(offset=PERIOD),
        is_more_bad=True,
    ),
    compared(
        "error-ratio",
        "Error ratio",
        "Share of calls that failed by a fault of the provider or the gateway. Red from the "
        "default objective on: see below which provider it is, then its status page.",
        look=Look(unit="percentunit", decimals=2, steps=_ERRORS),
        now=error_ratio(),
        before=error_ratio(offset=PERIOD),
        is_more_bad=True,
    ),
    compared(
        "attempts",
        "Attempts a call",
        "Tries at an upstream by calls: 1 where every call was sent to a provider. Under 1: calls "
        "that were denied or refused before. An SDK's retries are calls of their own; what is sent "
        "again since an idle connection had closed is one attempt.",
        look=Look(decimals=3),
        now=_attempts_a_call(),
        before=_attempts_a_call(offset=PERIOD),
        is_more_bad=True,
    ),
    compared(
        "unknown",
        "Calls of unknown cost",
        "Share of calls that have no price or no usage: sums of money and tokens lack them. "
        "The table at the bottom names the reason and what to do.",
        look=Look(unit="percentunit", decimals=2),
        now=unknown_ratio(),
        before=unknown_ratio(offset=PERIOD),
        is_more_bad=True,
    ),
)
_GLANCE = Row(
    "At a glance, against the period before",
    tuple(replace(each, width=6) for each in _STATS),
)
_SIDE_BY_SIDE = Row(
    "Models side by side",
    (
        by_label(
            "models",
            "What does each model cost, and how well does it work?",
            MODEL,
            head="Model",
            further={PROVIDER: "Provider"},
            description="Sums over the time range by the model that was sent upstream. Error "
            "ratio: faults of the provider or the gateway only. Waits and first chunks: 95 of 100 "
            "took at most so long; of few calls that is noise, and neither is counted by task. A "
            "cheaper model as sound and as fast is worth a try for its feature.",
            height=12,
            sort_by="Cost",
            look=Look(no_value=_NO_CALLS),
            columns=(
                Column(name="Calls", expr=named_both(calls(MODEL, PROVIDER)), decimals=0),
                Column(name="Tokens", expr=named_both(tokens(MODEL, PROVIDER)), decimals=1),
                Column(
                    name="Cost",
                    expr=named_both(spend(MODEL, PROVIDER)),
                    unit="currencyUSD",
                    decimals=2,
                ),
                Column(
                    name="Cost a call",
                    expr=named_both(
                        f"{spend(MODEL, PROVIDER)}\n  / ({calls(MODEL, PROVIDER)} > 0)"
                    ),
                    unit="currencyUSD",
                    decimals=5,
                ),
                Column(
                    name="Per million tokens",
                    expr=named_both(_per_million(MODEL, PROVIDER)),
                    unit="currencyUSD",
                    decimals=2,
                ),
                Column(
                    name="Error ratio",
                    expr=named_both(error_ratio(MODEL, PROVIDER)),
                    unit="percentunit",
                    decimals=2,
                    steps=_ERRORS,
                ),
                Column(
                    name="Attempts a call",
                    expr=named_both(_attempts_a_call(MODEL, PROVIDER)),
                    decimals=2,
                ),
                Column(
                    name="p95 wait",
                    expr=named_both(wait_p95(MODEL, PROVIDER, window=PERIOD)),
                    unit="s",
                    decimals=2,
                    steps=limit(limits.P95_S),
                ),
                Column(
                    name="p95 first chunk",
                    expr=named_both(f"({first_chunk(0.95, MODEL, PROVIDER, window=PERIOD)})"),
                    unit="s",
                    decimals=2,
                    steps=_FIRST,
                ),
            ),
        ),
    ),
)


def _daily(key: str, title: str, description: str, *, source: Source) -> Panel:
    # The step is the window, so that each call is in one bar; it looks ahead, so that today is one.
    selected = read(source)
    ranked_by = total(selected, MODEL, offset=AT_END)
    panel = lines(
        key,
        title,
        is_stacked=True,
        description=f"{description} Each bar is the day (UTC) that begins there, the last one "
        "today so far. The ten models that lead over these days.",
        look=Look(decimals=1, no_value="none in these days"),
        time_from=_SHOWN_DAYS,
    )
    expr = leading(total(selected, MODEL, window=DAY, offset=f"-{DAY}"), ranked_by, MODEL)
    return replace(
        panel,
        queries=(Query(_model(expr), f"{{{{{MODEL}}}}}", min_step=DAY),),
        custom={**(panel.custom or {}), "drawStyle": "bars", "lineWidth": 0, "fillOpacity": 80},
    )


_USAGE = Row(
    "Usage by day, last 7 days",
    (
        _daily(
            "daily-calls",
            "Which model gets how many calls a day?",
            "Calls that ended, whatever their outcome, by the model that was sent upstream. A "
            "model that is to be retired by its provider should fade here in time.",
            source=sources.DAILY_CALLS,
        ),
        _daily(
            "daily-input",
            "Which model reads how many tokens a day?",
            "Input tokens, those from and into a cache included. If they grow while calls do not, "
            "prompts grow: look at the feature.",
            source=sources.DAILY_INPUT,
        ),
        _daily(
            "daily-output",
            "Which model writes how many tokens a day?",
            "Output tokens, reasoning included: the dearest class. If they grow while calls do "
            "not, limit the answer's length or the effort of reasoning.",
            source=sources.DAILY_OUTPUT,
        ),
    ),
)


def _by_model(panel: Panel, expr: str, ranked_by: str, *, has_exemplars: bool = False) -> Panel:
    query = Query(
        _model(leading(expr, ranked_by, MODEL)), f"{{{{{MODEL}}}}}", has_exemplars=has_exemplars
    )
    return replace(panel, queries=(query,), width=12)


_PRICE = Row(
    "What a token costs",
    (
        _by_model(
            lines(
                "per-million-course",
                "What do a million tokens of each model cost?",
                description="US dollars per million tokens of all classes at each moment. A step "
                "without a deployment: the price list changed, or a cache is missed, see beside. "
                f"{_TEN}",
                look=Look(unit="currencyUSD", decimals=2, no_value=_NO_CALLS),
            ),
            f"1e6 * {per_second(read(sources.COST), MODEL)}\n"
            f"  / ({per_second(read(sources.TOKENS), MODEL)} > 0)",
            spend(MODEL, offset=AT_END),
        ),
        _by_model(
            lines(
                "cache-share",
                "How much of each model's input comes from a cache?",
                description="Share of the input tokens that the provider read from its cache, for "
                "a fraction of the price. Near 0 with long prompts: put what stays the same first, "
                f"and what changes last. {_TEN}",
                look=Look(
                    unit="percentunit", decimals=0, maximum=1, no_value="no tokens in this range"
                ),
            ),
            cache_share(by=(MODEL,)),
            total(read(sources.INPUT_TOKENS), MODEL, offset=AT_END),
        ),
    ),
)


def _failed_attempts() -> str:
    return or_zero(total(read(sources.ATTEMPT_ERRORS), PROVIDER), tried(PROVIDER), PROVIDER)


_FAILURES = Row(
    "Which provider fails, and how",
    (
        lines(
            "errors",
            "Which provider answers with which error?",
            is_stacked=True,
            description="Calls a minute that did not end well, by provider and error type (see "
            "docs/errors.md), the ten most frequent pairs. 429 and overload: ask the provider for "
            "a higher limit, or call less at once; 4xx are the caller's requests; no provider: the "
            "gateway refused the call before any try.",
            look=Look(decimals=2, no_value="no errors in this time range"),
            queries=(
                Query(
                    _provider(
                        leading(
                            "60 * " + per_second(read(sources.CALL_ERRORS), PROVIDER, ERROR),
                            total(read(sources.CALL_ERRORS), PROVIDER, ERROR, offset=AT_END),
                            PROVIDER,
                            ERROR,
                        )
                    ),
                    f"{{{{{PROVIDER}}}}}: {{{{{ERROR}}}}}",
                ),
            ),
            width=12,
        ),
        by_label(
            "providers",
            "Which provider fails the most?",
            PROVIDER,
            head="Provider",
            description="Attempts are tries at an upstream, calls what callers asked for; failed "
            "are those with an error type, the caller's own mistakes too. Error ratio: faults of "
            "the provider or the gateway only. If it rises: see the provider's status page, and "
            "send what cannot wait to another provider (X-Provider) meanwhile.",
            width=12,
            sort_by="Failed attempts",
            look=Look(no_value=_NO_CALLS),
            columns=(
                Column(name="Calls", expr=_provider(calls(PROVIDER)), decimals=0),
                Column(name="Attempts", expr=_provider(tried(PROVIDER)), decimals=0),
                Column(name="Failed attempts", expr=_provider(_failed_attempts()), decimals=0),
                Column(
                    name="Failed share",
                    expr=_provider(f"{_failed_attempts()}\n  / ({tried(PROVIDER)} > 0)"),
                    unit="percentunit",
                    decimals=2,
                ),
                Column(
                    name="Error ratio",
                    expr=_provider(error_ratio(PROVIDER)),
                    unit="percentunit",
                    decimals=2,
                    steps=_ERRORS,
                ),
                Column(
                    name="Since last week",
                    expr=_provider(
                        change(error_ratio(PROVIDER), error_ratio(PROVIDER, offset=WEEK))
                    ),
                    is_arrow=True,
                ),
            ),
        ),
    ),
)


DASHBOARD = Dashboard(
    uid="spanmeter-models",
    description="What models and providers cost, how fast and how sound they are, what they were "
    "asked and what answered, and the calls whose cost is not known.",
    rows=(_GLANCE, _SIDE_BY_SIDE, _USAGE, _PRICE, _FAILURES, SPEED, ANSWERS),
)
