"""Which configured upstream each recording is played through, and what a caller sends beside it."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tests.fakes.recordings import Headers, Recording, all_recordings

GATEWAY_HEADERS: Headers = (
    ("X-Task", "generation"),
    ("X-Lectr-Task", "extraction"),
    ("X-Tags", "env:prod,team:payments"),
    ("X-LiteLLM-Tags", "tier:gold"),
    ("Helicone-Property-Session", "s-1"),
    ("x-portkey-metadata", '{"region":"eu"}'),
    ("cf-aig-metadata", '{"plan":"pro"}'),
    ("x-bf-dim-cohort", "b"),
    ("baggage", "spanmeter.tag.build=7,unrelated=1"),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("tracestate", "vendor=1"),
    ("X-Gateway-Key", "not-configured"),
    ("X-Lectr-Key", "not-configured"),
    ("X-Routing-Enabled", "true"),
)
"""One of every kind that the gateway keeps to itself; `X-Feature` comes with the recording's id."""

BODY_TAGS = b'{"tags":["env:prod","source:body"],'


def upstream_name(played: Recording) -> str:
    """Name the upstream for a recording's provider: `replay-gcp-gemini`."""
    provider: str = played.expected["provider"]
    return "replay-" + provider.replace(".", "-").replace("_", "-")


def upstreams(base_url: str, **settings: Any) -> dict[str, Mapping[str, Any]]:
    """Configure one upstream for each provider that was recorded, all at the same address."""
    return {
        upstream_name(played): {
            "provider": played.expected["provider"],
            "base_url": base_url,
            "credential": "passthrough",
            **settings,
        }
        for played in all_recordings()
    }


def target(played: Recording) -> str:
    """Write the path by which the gateway sends a recording's request to its upstream."""
    return f"/{upstream_name(played)}{played.path}"


def with_body_tags(body: bytes) -> bytes:
    """Put a member `tags` in front of the others of a JSON object."""
    assert body[:1] == b"{"
    return BODY_TAGS + body[1:]


def asks_for_usage(body: bytes) -> bool:
    """Say whether a request body has `stream_options.include_usage: true`."""
    return bool((json.loads(body).get("stream_options") or {}).get("include_usage"))


def asking_for_usage(body: bytes) -> dict[str, Any]:
    """Return a request as it is once usage has been asked for on the caller's behalf."""
    request: dict[str, Any] = json.loads(body)
    options = request.get("stream_options") or {}
    return request | {"stream_options": options | {"include_usage": True}}


def without(headers: Iterable[tuple[str, str]], *names: str) -> list[tuple[str, str]]:
    """Leave some headers out; names in lower case, order kept."""
    return [(name.lower(), value) for name, value in headers if name.lower() not in names]
