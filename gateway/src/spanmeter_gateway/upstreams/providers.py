"""Which provider a name or a model belongs to, by the table in `spanmeter.providers`."""

from collections.abc import Iterator

from spanmeter.dialects.dialect import Family
from spanmeter.providers import AUTHORIZATION, PROVIDERS, Provider
from spanmeter_gateway.upstreams.upstream import Upstream

__all__ = ["AUTHORIZATION", "PROVIDERS", "Provider"]


def find(name: str) -> Provider | None:
    """Find a provider by its OpenTelemetry name or an alias, in any case."""
    return _BY_NAME.get(name.lower())


def credential_header(provider: str, family: Family) -> str:
    """Name the header in which a credential of this provider goes upstream.

    Gemini takes a bearer token on its OpenAI paths and `x-goog-api-key` on its own
    (ai.google.dev/gemini-api/docs/openai); Anthropic and Azure take one header everywhere.
    """
    known = _BY_NAME.get(provider)
    if known is None or (known.name == "gcp.gemini" and family == "openai"):
        return AUTHORIZATION
    return known.native_header


def provider_of_model(model: str) -> Provider | None:
    """Guess who serves a model: a whole name first, else the longest prefix; `None`: no idea."""
    wanted = model.lower()
    if wanted in _BY_MODEL:
        return _BY_MODEL[wanted]
    for prefix, provider in _BY_PREFIX:
        if wanted.startswith(prefix):
            return provider
    return None


def well_known_upstreams() -> Iterator[Upstream]:
    """Yield an upstream for each provider that has an address, with the caller's credential."""
    for provider in PROVIDERS:
        if provider.base_url is not None:
            yield Upstream(
                name=provider.aliases[0],
                provider=provider.name,
                base_url=provider.base_url,
                openai_root=provider.openai_root,
                stream_usage=provider.stream_usage,
                dialects=provider.dialects,
                is_built_in=True,
            )


_BY_NAME = {name: row for row in PROVIDERS for name in (row.name, *row.aliases)}
_BY_MODEL = {model: row for row in PROVIDERS for model in row.models}
_BY_PREFIX = sorted(
    ((prefix, row) for row in PROVIDERS for prefix in row.prefixes),
    key=lambda pair: -len(pair[0]),
)
