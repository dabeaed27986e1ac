"""What headers and the body's `tags` say of attribution; baggage is in `baggage`.

Pure readers: text in, pieces and pairs out. What is kept, altered or dropped is decided in
`attribution`.
"""

from typing import Any

import msgspec

from spanmeter.grammar import cleaned

NAMES = frozenset(
    {
        b"x-feature",
        b"x-lectr-feature",
        b"x-task",
        b"x-lectr-task",
        b"x-tags",
        b"x-litellm-tags",
        b"x-portkey-metadata",
        b"cf-aig-metadata",
        b"baggage",
    }
)
FOREIGN_PREFIXES = (b"helicone-property-", b"x-bf-dim-")
"""One header a tag: https://docs.helicone.ai/features/advanced-usage/custom-properties and
https://docs.getbifrost.ai/providers/request-options."""
FOREIGN_JSON = (b"x-portkey-metadata", b"cf-aig-metadata")
"""One JSON object of tags: https://portkey.ai/docs/product/observability/metadata and
https://developers.cloudflare.com/ai-gateway/observability/custom-metadata."""

_JSON_OBJECT = msgspec.json.Decoder(dict[str, Any])


def header_text(raw: bytes) -> str:
    """Read a header's value: UTF-8 if it decodes, else Latin-1; cleaned."""
    try:
        return cleaned(raw.decode())
    except UnicodeDecodeError:
        return cleaned(raw.decode("latin-1"))


def foreign_pairs(name: bytes, text: str) -> list[tuple[str, Any]]:
    """Read another gateway's tag header; keys and values are as sent.

    Raises `msgspec.ValidationError` for JSON that is not an object, `msgspec.DecodeError` for what
    is not JSON and `RecursionError` for JSON nested beyond reason.
    """
    if name in FOREIGN_JSON:
        return list(_JSON_OBJECT.decode(text).items()) if text else []
    prefix = next(prefix for prefix in FOREIGN_PREFIXES if name.startswith(prefix))
    return [(header_text(name.removeprefix(prefix)), text)]


def foreign_source(name: bytes) -> str:
    """Name another gateway's header; what a caller wrote behind a prefix is left out."""
    if name in FOREIGN_JSON:
        return name.decode()
    return next(f"{prefix.decode()}*" for prefix in FOREIGN_PREFIXES if name.startswith(prefix))


def scalar_text(value: object) -> str | None:
    """Write a JSON scalar as text; `None` for null, arrays and objects.

    Cloudflare documents strings, numbers and booleans as values and nothing else.
    """
    if isinstance(value, str):
        return cleaned(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else None


def json_type(value: object) -> str:
    """Name the JSON type of what is no scalar: it may be shown where the value may not."""
    if isinstance(value, dict):
        return "object"
    return "array" if isinstance(value, list) else "null"
