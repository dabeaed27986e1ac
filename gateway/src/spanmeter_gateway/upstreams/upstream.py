"""A configured endpoint: where a provider is reached, with which credential and patience."""

from dataclasses import dataclass, field
from typing import Literal

from spanmeter.dialects.dialect import Family


@dataclass(frozen=True, slots=True)
class Credential:
    """`passthrough`: the caller's own credential goes upstream; else one that we hold.

    `source` is the name of an environment variable or the path of a file; the secret itself is
    read by the relay at start-up and never stands in a configuration value.
    """

    kind: Literal["passthrough", "env", "file"] = "passthrough"
    source: str = ""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Patience with an upstream, in seconds."""

    connect_s: float = 10.0
    first_byte_s: float = 600.0
    """From the request's last byte to the answer's first. The providers' SDKs wait 10 minutes."""
    idle_s: float = 300.0
    """Between two pieces of an answer."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """One endpoint. `provider` is the OpenTelemetry `gen_ai.provider.name`."""

    name: str
    provider: str
    base_url: str
    """`http://` or `https://`, host, optional port and path; no query."""
    credential: Credential = field(default_factory=Credential)
    timeouts: Timeouts = field(default_factory=Timeouts)
    headers: tuple[tuple[str, str], ...] = ()
    """Set on every request to this upstream, replacing the caller's of the same name."""
    openai_root: str = "/v1"
    """Where the OpenAI dialects live under the base URL; Groq: `/openai/v1`."""
    stream_usage: bool = False
    """It accepts `stream_options.include_usage`."""
    dialects: tuple[Family, ...] = ("openai",)
    """The families it may be chosen for by model or as default; a path that names the upstream
    takes any."""
    models: tuple[str, ...] = ()
    """Prefixes of model names that belong here, beside those known for the provider."""
    api_version: str | None = None
    """Azure: added as `api-version` when the caller gave none."""
    ca_file: str | None = None
    """A PEM bundle to trust instead of the system's; certificates are always checked."""
    max_connections: int | None = None
    """Of one relay worker to this upstream; `None`: as many as its callers make at once."""
    proxy: str | None = None
    """The URL of the egress proxy, without a password; `none`: no proxy, whatever the environment
    says; `None`: the environment says."""
    proxy_login: Credential = field(default_factory=Credential)
    """Where `user:password` for `proxy` is found; `passthrough`: the proxy asks for none."""
    forward_trace: bool = False
    """Send `traceparent` (ours as parent) to this upstream."""
    is_built_in: bool = False
    """One of the well-known providers, not written by the operator."""
