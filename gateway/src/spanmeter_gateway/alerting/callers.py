"""Alerts on calls that end by the caller's own doing: they burn no error budget.

Each is a share of all calls of an hour, because a few strange calls are no news.
"""

from typing import NamedTuple

from spanmeter_gateway.alerting import places, series
from spanmeter_gateway.alerting.features import LONG_INTERVAL_S, calls_of_an_hour
from spanmeter_gateway.alerting.promql import (
    FEATURE,
    ON_FEATURE,
    OUTCOME,
    asked,
    at_least,
    told,
    up_to_date,
)
from spanmeter_gateway.alerting.rule import HOUR_S, MINUTE_S, Alert, Clock, Group
from spanmeter_gateway.alerting.slo import Slo

MIN_CALLS = 50
"""In an hour; of fewer calls a share says little."""


class Share(NamedTuple):
    """An alert on the share of one outcome."""

    alert: str
    outcome: str
    are: str
    """What the calls are; follows their share."""


SHARES = (
    Share("SpanmeterCallerErrorsHigh", "caller_error", "are mistakes of the caller"),
    Share("SpanmeterDenialsHigh", "policy_denied", "are denied"),
    Share("SpanmeterCancellationsHigh", "cancelled", "are left by their caller"),
)


def groups(slo: Slo, clock: Clock) -> tuple[Group, ...]:
    """List the alerts on callers."""
    alerts = tuple(_alert(share, clock) for share in SHARES)
    return (Group("spanmeter-callers", LONG_INTERVAL_S, alerts),)


def _alert(share: Share, clock: Clock) -> Alert:
    range_ = clock.range(HOUR_S)
    chosen = f'{{{OUTCOME}="{share.outcome}"}}'
    of_outcome = f"sum_over_time({series.OUTCOME_RATE_5M}{chosen}[{range_}])"
    of_all = f"sum_over_time({series.CALLS_RATE_5M}[{range_}])"
    calls = calls_of_an_hour(series.CALLS_RATE_5M, clock)
    expr = (
        f"{of_outcome}\n  / {ON_FEATURE} {of_all}\n"
        f"  > {ON_FEATURE} {series.OUTCOME_LIMIT}{chosen}\n"
        f"  and {ON_FEATURE} {at_least(MIN_CALLS, calls)}"
    )
    limit = f'{series.OUTCOME_LIMIT}{{{OUTCOME}="{share.outcome}"}}'
    return Alert(
        alert=share.alert,
        expr=told(up_to_date(expr, range_)),
        severity="ticket",
        summary=f"{{{{ $labels.{FEATURE} }}}}: "
        f"{{{{ $value | humanizePercentage }}}} of the calls {share.are}",
        description=f"{{{{ $value | humanizePercentage }}}} of all calls of an hour {share.are}"
        + asked(limit, "; {{ . | first | value | humanizePercentage }} may be."),
        dashboard=places.of_feature(places.FEATURE),
        for_s=10 * MINUTE_S,
    )
