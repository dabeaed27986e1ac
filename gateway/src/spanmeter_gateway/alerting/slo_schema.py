"""The shape of `slo.yaml`: which keys there are, and of which type. Defaults are those of `slo`."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from spanmeter_gateway.config_schema import Count, Money, Seconds, Text

_TIME_RULE = "must be a time such as 2026-11-03T10:00Z"
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Limit = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Ratio = Annotated[float, Field(gt=1, allow_inf_nan=False)]
Usd = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _moment(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(_TIME_RULE)
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(_TIME_RULE) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _objective(value: Any) -> Any:
    # str() first: the shortest text of a float is what was written, its binary value is not
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("must be a percentage such as 99.5")
    try:
        percent = Decimal(str(value).strip().removesuffix("%"))
    except ArithmeticError:
        raise ValueError("must be a percentage such as 99.5") from None
    if percent.is_nan() or not 0 < percent < 100:
        raise ValueError("must be over 0 and under 100 percent: nothing may ever fail at 100")
    return percent


def _team(value: Any) -> Any:
    # As a label it would be a template of Prometheus, and `$1` a group of a regular expression.
    if isinstance(value, str) and set(value) & set("${}"):
        raise ValueError("must be a name without $, { and }")
    return value


Moment = Annotated[datetime, BeforeValidator(_moment)]
Objective = Annotated[Decimal, BeforeValidator(_objective)]
TeamName = Annotated[Text, BeforeValidator(_team)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class PromiseShape(_Shape):
    """What is promised of calls."""

    objective: Objective | None = None
    p95_s: Seconds | None = None
    first_chunk_p95_s: Seconds | None = None
    caller_error_ratio: Limit | None = None
    denied_ratio: Limit | None = None
    cancelled_ratio: Limit | None = None


class FeatureShape(PromiseShape):
    """What is different for one feature; its name is its key."""

    month_usd: Money | None = None


class TeamShape(_Shape):
    """One team; its name is its key."""

    features: list[Text] = Field(min_length=1)
    month_usd: Money | None = None


class SpendShape(_Shape):
    """When spending is worth a look."""

    spike_ratio: Ratio | None = None
    spike_usd_per_hour: Usd | None = None
    new_feature_usd_per_hour: Usd | None = None


class ExclusionShape(_Shape):
    """Time that no baseline learns from."""

    begin: Moment
    end: Moment
    feature: Text | None = None
    metrics: list[Literal["cost", "latency", "errors", "calls", "drift"]] = []
    reason: Text | None = None


class LinksShape(_Shape):
    """Where annotations point."""

    dashboards: Text | None = None
    playbooks: Text | None = None


class SloShape(PromiseShape):
    """The whole file."""

    features: dict[Text, FeatureShape] = {}
    min_failed_calls: Count | None = None
    teams: dict[TeamName, TeamShape] = {}
    default_team: TeamName | None = None
    month_usd: Money | None = None
    spend: SpendShape = SpendShape()
    untagged_ratio: Share | None = None
    exclusions: list[ExclusionShape] = []
    links: LinksShape = LinksShape()
    job: Text | None = None
