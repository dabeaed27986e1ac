"""Models and providers: the rows about first chunks, who answered, and what has no known cost."""

from grafana import limits, sources
from grafana.panels import Json, Look, Query, Row, column, limit, lines
from grafana.queries import (
    ANSWERED,
    AT_END,
    MODEL,
    PERIOD,
    PROVIDER,
    REASON,
    WEEK,
    calls,
    first_chunk,
    leading,
    named,
    read,
    select,
    share,
    streamed,
    total,
)
from grafana.sources import Source
from grafana.tables import Column, by_label
from spanmeter_gateway.telemetry import names

_FIRST = limit(limits.FIRST_CHUNK_P95_S)
_NO_STREAMS = "no streamed calls in this time range"
ADVICE = {
    "unknown_provider": "name the provider in prices",
    "unknown_model": "add a row to prices",
    "unknown_tier": "ask without the tier, or add a row to prices",
    "no_token_price": "sold otherwise: see the provider's invoice",
    "incomplete_usage": "see the provider's invoice; report its answer's shape",
    "billing_failed": "see the log of the books",
    "not_reported": "set stream_usage on the upstream, and ask_for_usage",
    "unreadable": "check that the upstream speaks the path's dialect",
    "too_large": "split the request, or ask for a shorter answer",
    "cancelled": "raise the caller's time-out, if it did not mean to leave",
    "interrupted": "see the provider's errors and the network",
}
"""What to do, by the reason why a call has no price or no usage (docs/metrics.md)."""


def named_both(expr: str) -> str:
    """Name the rows of calls that reached no upstream, or named no model."""
    return named(named(expr, MODEL, "no model"), PROVIDER, "no provider")


def unknown_ratio(offset: str = "") -> str:
    """Share of the calls that have no price or no usage."""
    unpriced, unmetered = (
        f"({total(read(source), offset=offset)} or vector(0))"
        for source in (sources.UNPRICED, sources.UNMETERED)
    )
    return f"({unpriced} + {unmetered})\n  / ({calls(offset=offset)} > 0)"


def _first(portion: float, name: str) -> Column:
    return Column(
        name=name,
        expr=named_both(first_chunk(portion, MODEL, PROVIDER, window=PERIOD)),
        unit="s",
        decimals=2,
        steps=_FIRST if name == "p95" else (),
    )


SPEED = Row(
    "How long until the first chunk",
    (
        lines(
            "first-chunk",
            "Which model is slow to begin?",
            description="Of streamed attempts: what 95 of 100 took at most until the first chunk. "
            "The dashed line is the default objective. The ten models with the most streams; a dot "
            "leads to a trace, in ranges of up to 12 hours. Not counted by task. Slow since a "
            "moment: the provider's status page, then another model or region.",
            look=Look(unit="s", decimals=2, steps=_FIRST, no_value=_NO_STREAMS),
            queries=(
                Query(
                    named(
                        leading(first_chunk(0.95, MODEL), streamed(MODEL, offset=AT_END), MODEL),
                        MODEL,
                        "no model",
                    ),
                    f"{{{{{MODEL}}}}}",
                    has_exemplars=True,
                ),
            ),
            width=12,
        ),
        by_label(
            "first-chunks",
            "How long do half, 95 and 99 of 100 streams take to begin?",
            MODEL,
            head="Model",
            further={PROVIDER: "Provider"},
            description="Of streamed attempts over the time range, and how many these are: of few, "
            "a quantile is noise. A p99 far above the p95: some requests wait for a place, so a "
            "higher limit helps more than a faster model. Not counted by task.",
            width=12,
            sort_by="Streams",
            look=Look(no_value=_NO_STREAMS),
            columns=(
                Column(name="Streams", expr=named_both(streamed(MODEL, PROVIDER)), decimals=0),
                _first(0.5, "p50"),
                _first(0.95, "p95"),
                _first(0.99, "p99"),
            ),
        ),
    ),
)


def _answers(offset: str = "") -> str:
    # Attempts at embeddings, or by v1.41 all, stand in the other metric.
    embeddings = select(names.OPERATION_DURATION, f'{ANSWERED}!=""', part="_count")
    found = [
        total(selected, MODEL, PROVIDER, ANSWERED, offset=offset)
        for selected in (read(sources.ANSWERS), embeddings)
    ]
    return f"({found[0]}\n  or {found[1]})"


def _answered_share(offset: str = "") -> str:
    kept = (MODEL, PROVIDER)
    whole = f"sum by ({', '.join(kept)}) ({_answers(offset)})"
    return share(_answers(offset), whole, *kept)


def _unknown(source: Source) -> str:
    return f"{total(read(source), REASON, PROVIDER, MODEL)} > 0"


def _told() -> Json:
    told = {
        reason: {"text": f"{reason}: {advice}", "index": place}
        for place, (reason, advice) in enumerate(ADVICE.items())
    }
    mappings = [{"type": "value", "options": told}]
    return column("Reason", mappings=mappings, custom__width=420)


ANSWERS = Row(
    "Who answered, and what has no known cost",
    (
        by_label(
            "answered",
            "Which model answers for which?",
            MODEL,
            head="Sent to",
            further={PROVIDER: "Provider", ANSWERED: "Answered by"},
            description="Attempts over the time range by the model that was sent upstream and the "
            "one that the answer names, and its share of the former, now and in the same range a "
            "week ago. A new name, or a share that moves, is a model that the provider changed "
            "under its name: run your evaluations, or pin the dated name. Not counted by task.",
            width=12,
            height=10,
            sort_by="Attempts",
            look=Look(no_value="no answers in this time range"),
            columns=(
                Column(name="Attempts", expr=named_both(_answers()), decimals=0),
                Column(
                    name="Share",
                    expr=named_both(_answered_share()),
                    unit="percentunit",
                    decimals=1,
                ),
                Column(
                    name="Share last week",
                    expr=named_both(_answered_share(WEEK)),
                    unit="percentunit",
                    decimals=1,
                ),
            ),
        ),
        by_label(
            "unknown-calls",
            "Which calls have no known cost, and what to do?",
            REASON,
            head="Reason",
            further={PROVIDER: "Provider", MODEL: "Model"},
            description="Calls over the time range whose price or usage is not known, by the "
            "reason, with what to do about it. They are in no sum of money; what was not metered "
            "is in none of tokens either.",
            width=12,
            height=10,
            look=Look(no_value="every call has a price and a usage"),
            columns=(
                Column(name="No price", expr=named_both(_unknown(sources.UNPRICED)), decimals=0),
                Column(name="No usage", expr=named_both(_unknown(sources.UNMETERED)), decimals=0),
                Column(
                    name="Share of the model's calls",
                    expr=named_both(
                        share(
                            f"({_unknown(sources.UNPRICED)}\n  or {_unknown(sources.UNMETERED)})",
                            calls(MODEL, PROVIDER),
                            MODEL,
                            PROVIDER,
                        )
                    ),
                    unit="percentunit",
                    decimals=2,
                ),
            ),
            overrides=(_told(),),
        ),
    ),
)
