"""The configuration in force: one frozen value, handed to every process as one line of JSON.

It holds plain values and no secret: a credential is named here and read by the relay. How it is
read from a file and the environment is in `config_file`, so that a relay never loads that code.
"""

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from spanmeter.attribution import AttributionRules
from spanmeter_gateway.metering.overrides import PriceOverride
from spanmeter_gateway.telemetry.budgets import Budgets
from spanmeter_gateway.upstreams.providers import well_known_upstreams
from spanmeter_gateway.upstreams.upstream import Credential, Upstream


@dataclass(frozen=True, slots=True)
class Limits:
    """What one relay worker accepts."""

    body_bytes: int = 20_000_000
    """Of one request body; over it the answer is 413."""
    held_body_bytes: int = 256_000_000
    """Of all request bodies that wait in memory at once; over it the answer is 503."""
    header_bytes: int = 65_536
    """Of one request's head. 64 KiB is also what h11 and uvicorn allow."""
    max_connections: int = 10_000
    connections_per_address: int | None = None
    """Behind a load balancer all callers have one address, so there is no limit unless asked."""
    head_s: float = 30.0
    """For a request's head, from its first byte; of a new connection from its beginning."""
    body_s: float = 60.0
    """In each such time a body must bring 240 bytes a second; else the answer is 408."""


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """How receipts wait for books."""

    max_bytes: int = 1_000_000_000
    """Over it the newest receipts are dropped and counted; calls go on."""
    flush_interval_s: float = 0.25


@dataclass(frozen=True, slots=True)
class MetricSwitches:
    """Metrics that are off unless they are asked for."""

    operation_cost: bool = False
    """The histogram of what a call costs."""
    time_per_output_chunk: bool = False
    """The histogram of the times between a stream's chunks."""


@dataclass(frozen=True, slots=True)
class Tls:
    """The relay port speaks HTTPS with this certificate. Both are PEM files."""

    cert_file: str
    key_file: str


@dataclass(frozen=True, slots=True)
class GatewayKey:
    """A key that we issued: where its secret is found, and the name it is counted under."""

    name: str
    secret: Credential


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that a process must know. The defaults are the gateway without configuration."""

    listen_host: str = "127.0.0.1"
    listen_port: int = 8080
    books_host: str = "127.0.0.1"
    books_port: int = 9464
    workers: int = 1
    data_dir: Path = Path("spanmeter-data")
    upstreams: tuple[Upstream, ...] = field(default_factory=lambda: tuple(well_known_upstreams()))
    """In order of precedence: the operator's first, then the well-known ones."""
    default_upstream: str = "openai"
    limits: Limits = field(default_factory=Limits)
    attribution: AttributionRules = field(default_factory=AttributionRules)
    invalid_provider_detect: bool = False
    """Ignore an `X-Provider` that names nobody, instead of answering 400."""
    ask_for_usage: bool = True
    """Add `stream_options.include_usage` where the upstream accepts it."""
    tag_labels: tuple[str, ...] = ("env", "team", "project", "cost-center")
    """Tag keys that become metric labels."""
    cardinality: Budgets = field(default_factory=Budgets)
    semconv: Literal["latest", "v1_41", "both"] = "latest"
    """Which generation of the OpenTelemetry GenAI conventions is printed."""
    metrics: MetricSwitches = field(default_factory=MetricSwitches)
    cost_alias: bool = False
    """Spans carry the cost as `gen_ai.usage.cost` too."""
    prices: tuple[PriceOverride, ...] = ()
    spool: SpoolLimits = field(default_factory=SpoolLimits)
    drain_s: float = 600.0
    """How long calls in progress may take to end at a stop: as long as the providers' SDKs wait
    for an answer. The gateway stops as soon as the last call has ended."""
    tls: Tls | None = None
    gateway_keys: tuple[GatewayKey, ...] = ()
    """Every call must show one of them; without any, whoever reaches the port may call."""
    books_token: Credential | None = None
    """What a reader of the books' port must show; without one, whoever reaches it may read."""

    reload_on_change: bool = True
    """Read the configuration again when its files change, and not on SIGHUP alone."""

    @property
    def relay_secrets(self) -> tuple[Credential, ...]:
        """Where the secrets are found that relays need, and nobody else."""
        return (
            *(row.credential for row in self.upstreams),
            *(key.secret for key in self.gateway_keys),
        )

    @property
    def books_secrets(self) -> tuple[Credential, ...]:
        """Where the secrets are found that books need."""
        return (self.books_token,) if self.books_token is not None else ()

    @property
    def url(self) -> str:
        """Where applications reach the relay."""
        return f"http{'s' if self.tls else ''}://{_netloc(self.listen_host, self.listen_port)}"

    @property
    def books_url(self) -> str:
        """Where Prometheus and people reach the books."""
        return f"http://{_netloc(self.books_host, self.books_port)}"

    @property
    def listen_url(self) -> str:
        """The relay's address as it is configured: every interface is `0.0.0.0`."""
        return f"http{'s' if self.tls else ''}://{_joined(self.listen_host, self.listen_port)}"

    @property
    def books_listen_url(self) -> str:
        """The books' address as it is configured."""
        return f"http://{_joined(self.books_host, self.books_port)}"

    def to_json(self) -> str:
        """Write the configuration as one line of JSON."""
        return msgspec.json.encode(self, enc_hook=_encode).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> "Config":
        """Read what `to_json` wrote."""
        return msgspec.json.decode(text, type=cls, dec_hook=_decode)


LOCAL_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")


def is_address(host: str) -> bool:
    """Say whether a host is an IP address, and not a name that a name server explains."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Say whether a listening address is reached from this machine alone."""
    return host in LOCAL_NAMES or (is_address(host) and ipaddress.ip_address(host).is_loopback)


_REACHED_LOCALLY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
"""Every interface is not an address that a client can use."""


def _netloc(host: str, port: int) -> str:
    return _joined(_REACHED_LOCALLY.get(host, host), port)


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _encode(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(type(value))


def _decode(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(kind)
