"""The shape of the configuration file: which keys there are, and of which type.

Only shape stands here. What the values mean together, and what they become, is in `config_file`.
Every default is `None` or empty: the values that hold without a key are those of `config.Config`.
"""

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from spanmeter.dialects.dialect import Family

_BYTES_BY_UNIT = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_CREDENTIAL_RULE = (
    "must be passthrough, env:NAME or file:PATH; a credential itself never stands in this file"
)
LISTEN_RULES = {
    "listen": "must be host:port, such as 127.0.0.1:8080",
    "books.listen": "must be host:port, such as 127.0.0.1:9464",
}
_KEY_RULE = "must be env:NAME or file:PATH; a key itself never stands in this file"


def _size(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    found = _SIZE.fullmatch(value.strip())
    if found is None or found[2].upper() not in _BYTES_BY_UNIT:
        raise ValueError("must be a number of bytes such as 20000000, 20MB or 20MiB")
    return int(Decimal(found[1]) * _BYTES_BY_UNIT[found[2].upper()])


def _money(value: Any) -> Any:
    # str() first: a YAML float's shortest text is what the operator wrote, its binary value is not
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("must be an amount in USD such as 2.50")
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise ValueError("must be an amount in USD such as 2.50") from None
    if not amount.is_finite():
        raise ValueError("must be an amount in USD such as 2.50")
    return amount


def _credential(value: Any) -> Any:
    if isinstance(value, str):
        if value in {"passthrough", "pass-through"}:
            return {}
        kind, _, source = value.partition(":")
        value = {kind: source}
    is_one_source = isinstance(value, dict) and len(value) == 1 and set(value) <= {"env", "file"}
    if not is_one_source or not all(isinstance(part, str) and part for part in value.values()):
        raise ValueError(_CREDENTIAL_RULE)
    return value


def _key_secret(value: Any) -> Any:
    if value in ("passthrough", "pass-through", None):
        raise ValueError(_KEY_RULE)
    try:
        return _credential(value)
    except ValueError:
        raise ValueError(_KEY_RULE) from None


Size = Annotated[int, BeforeValidator(_size), Field(gt=0)]
Money = Annotated[Decimal, BeforeValidator(_money), Field(ge=0)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]
Text = Annotated[str, Field(min_length=1)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class CredentialShape(_Shape):
    """`passthrough` is the empty one."""

    env: str | None = None
    file: str | None = None


KeySecret = Annotated[CredentialShape, BeforeValidator(_key_secret)]


class TimeoutsShape(_Shape):
    """Patience with an upstream."""

    connect_s: Seconds | None = None
    first_byte_s: Seconds | None = None
    idle_s: Seconds | None = None


class UpstreamShape(_Shape):
    """One upstream; its name is its key."""

    provider: str | None = None
    base_url: str | None = None
    credential: Annotated[CredentialShape, BeforeValidator(_credential)] | None = None
    timeouts: TimeoutsShape = TimeoutsShape()
    headers: dict[str, str] = {}
    openai_root: str | None = None
    stream_usage: bool | None = None
    dialects: list[Family] | None = Field(default=None, min_length=1)
    models: list[str] = []
    api_version: str | None = None
    ca_file: str | None = None
    max_connections: Count | None = None
    proxy: Text | None = None
    proxy_login: KeySecret | None = None
    forward_trace: bool = False


class BooksShape(_Shape):
    """The cold half."""

    listen: str | None = None
    token: KeySecret | None = None


class LimitsShape(_Shape):
    """What one relay worker accepts."""

    body_bytes: Size | None = None
    held_body_bytes: Size | None = None
    header_bytes: Size | None = None
    max_connections: Annotated[int, Field(gt=0)] | None = None
    connections_per_address: Count | None = None
    head_s: Seconds | None = None
    body_s: Seconds | None = None


class AttributionShape(_Shape):
    """How features and tags are read."""

    mode: Literal["lenient", "strict"] | None = None
    bare_tag_key: str | None = None
    feature_from_tag: bool | None = None


class TagsShape(_Shape):
    """Which tags reach metrics."""

    labels: list[str] | None = None


class MetricsShape(_Shape):
    """Metrics that are off unless they are asked for."""

    operation_cost: bool | None = None
    time_per_output_chunk: bool | None = None


class PinnedShape(_Shape):
    """Label values that always have series of their own."""

    features: list[Text] = []
    tasks: list[Text] = []
    models: list[Text] = []
    tags: dict[str, list[Text]] = {}


class CardinalityShape(_Shape):
    """How many label values and series the metrics may have."""

    features: Count | None = None
    tasks: Count | None = None
    models: Count | None = None
    tag_values: Count | None = None
    # Below it there is no room for what is folded altogether, with its outcomes and error types.
    series: Annotated[int, Field(ge=1000)] | None = None
    pinned: PinnedShape = PinnedShape()


class PriceShape(_Shape):
    """What a model costs, where the price list does not say or says otherwise."""

    provider: str | None = None
    model: str = Field(min_length=1)
    input_usd_per_mtok: Money
    output_usd_per_mtok: Money
    cache_read_usd_per_mtok: Money | None = None
    cache_write_usd_per_mtok: Money | None = None
    cache_write_1h_usd_per_mtok: Money | None = None
    reasoning_usd_per_mtok: Money | None = None
    input_audio_usd_per_mtok: Money | None = None
    cache_read_audio_usd_per_mtok: Money | None = None
    output_audio_usd_per_mtok: Money | None = None
    request_usd: Money | None = None


class SpoolShape(_Shape):
    """How receipts wait for books."""

    max_bytes: Size | None = None
    flush_interval_s: Seconds | None = None


class TlsShape(_Shape):
    """The relay port's certificate."""

    cert_file: str
    key_file: str


class FileShape(_Shape):
    """The whole file."""

    listen: str | None = None
    books: BooksShape = BooksShape()
    workers: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = "auto"
    data_dir: str | None = Field(default=None, min_length=1)
    upstreams: dict[str, UpstreamShape | None] = {}
    default_upstream: str | None = None
    well_known_upstreams: bool = True
    limits: LimitsShape = LimitsShape()
    attribution: AttributionShape = AttributionShape()
    invalid_provider: Literal["reject", "detect"] = "reject"
    ask_for_usage: bool | None = None
    tags: TagsShape = TagsShape()
    cardinality: CardinalityShape = CardinalityShape()
    semconv: Literal["latest", "v1_41", "both"] | None = None
    metrics: MetricsShape = MetricsShape()
    cost_alias: bool = False
    prices: list[PriceShape] = []
    spool: SpoolShape = SpoolShape()
    drain_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    tls: TlsShape | None = None
    gateway_keys: dict[str, KeySecret] | None = Field(default=None, min_length=1)
    reload_on_change: bool = True
