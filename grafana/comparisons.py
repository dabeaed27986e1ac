"""Single numbers beside their change against the period of the same length just before."""

from dataclasses import replace

from grafana.panels import BAD, GOOD, Look, Panel, Query, Step, column, stat, thresholds
from grafana.queries import PERIOD, calls, change, tokens
from grafana.tables import FLAT, NEUTRAL

NOTE = "Below it: the change against the period of the same length just before."
_LEGEND = "against before"


def compared(
    key: str,
    title: str,
    description: str,
    *,
    look: Look,
    now: str,
    before: str,
    is_more_bad: bool = False,
) -> Panel:
    """Show a number and its change; `is_more_bad` colours that."""
    more, less = (BAD, GOOD) if is_more_bad else (NEUTRAL, NEUTRAL)
    return stat(
        key,
        title,
        description=f"{description} {NOTE}",
        look=replace(look, minimum=None),
        queries=(
            Query(now, title, is_instant=True),
            Query(change(now, before), _LEGEND, is_instant=True),
        ),
        overrides=(
            column(
                _LEGEND,
                unit="percentunit",
                decimals=0,
                thresholds=thresholds((Step(less), Step(NEUTRAL, -FLAT), Step(more, FLAT))),
            ),
        ),
    )


ALL_CALLS = compared(
    "calls",
    "Calls",
    "Calls that ended, whatever their outcome.",
    look=Look(decimals=0),
    now=calls(),
    before=calls(offset=PERIOD),
)
ALL_TOKENS = compared(
    "tokens",
    "Tokens",
    "Tokens of all classes, input, output and cached, each once.",
    look=Look(decimals=1),
    now=tokens(),
    before=tokens(offset=PERIOD),
)
