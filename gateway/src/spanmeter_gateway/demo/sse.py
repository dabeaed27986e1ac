"""One server-sent event as bytes."""

from typing import Any

import msgspec


def event(body: dict[str, Any], *, name: str | None = None) -> bytes:
    """Write an event; named as Anthropic and the Responses API do, unnamed as chat does."""
    head = b"" if name is None else f"event: {name}\n".encode()
    return head + b"data: " + msgspec.json.encode(body) + b"\n\n"
