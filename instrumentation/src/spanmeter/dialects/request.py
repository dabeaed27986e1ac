"""Read a request: the few members that the relay and the receipt need, and no content.

msgspec skips every other member without building it, so a long prompt costs almost nothing.
"""

import re
from collections.abc import Callable
from operator import attrgetter
from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec import UNSET

from spanmeter.dialects.dialect import Describe, RequestFacts
from spanmeter.dialects.json_values import decode
from spanmeter.dialects.shapes.request import Request
from spanmeter.errors import UnreadableBody

Take = Callable[[Any], Any]
"""Return the value of a parameter, or `None` when it has the wrong type."""

_BOM = b"\xef\xbb\xbf"
_PATH_MODEL = re.compile(r"/(?:deployments|engines)/+([^/?]+)")
"""Azure names the deployment in the path; so did OpenAI's first API (`/v1/engines/davinci/...`)."""


class ParameterTable:
    """Which member becomes which parameter: rows of (parameter, path of attributes, take).

    Of two rows with one parameter the later wins.
    """

    def __init__(self, *rows: tuple[str, str, Take]) -> None:
        self._columns = tuple((name, take) for name, _, take in rows)
        paths = [path for _, path, _ in rows]
        self._values = attrgetter(*paths, paths[0])  # of one path alone it would make no tuple

    def read(self, source: object) -> dict[str, Any]:
        """Collect what was sent and has the right type."""
        found = {}
        for (name, take), value in zip(self._columns, self._values(source), strict=False):
            if value is not None and (taken := take(value)) is not None:
                found[name] = taken
        return found


def read_body(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    """Decode a request; raises `UnreadableBody`."""
    if body.startswith(_BOM):
        body = body[len(_BOM) :]
    try:
        return decode(decoder, body)
    except (ValueError, RecursionError):
        # The cause would quote the body's path in its message, so it is not chained.
        raise UnreadableBody("The request body is not a JSON object of this API.") from None


def describer(shape: type[Request], table: ParameterTable) -> Describe:
    """Make the `describe` of a dialect whose body says all, as the OpenAI and Anthropic ones do."""
    decoder = msgspec.json.Decoder(shape)

    def describe(body: bytes, path: str) -> RequestFacts:
        request = read_body(decoder, body)
        model = request.model
        options = request.stream_options
        stream = request.stream is True
        return RequestFacts(
            model=model if isinstance(model, str) and model else _model_in(path),
            stream=stream,
            asks_for_usage=stream
            and isinstance(options, dict)
            and options.get("include_usage") is True,
            tags=None if request.tags is UNSET else request.tags,
            has_tags=request.tags is not UNSET,
            has_stream_options=options is not UNSET,
            parameters=table.read(request),
        )

    return describe


def _model_in(path: str) -> str | None:
    match = _PATH_MODEL.search(path)
    return unquote(match[1]) if match else None


def member(name: str, take: Take) -> Take:
    """Make a take that looks at one member of an object."""

    def take_member(value: Any) -> Any:
        return take(value.get(name)) if isinstance(value, dict) else None

    return take_member


def output_type(value: Any) -> str | None:
    """Return `gen_ai.output.type` for a format's `type`: `text` or `json`."""
    return _OUTPUT_TYPES.get(value) if isinstance(value, str) else None


_OUTPUT_TYPES = {
    "text": "text",
    "json": "json",
    "json_object": "json",
    "json_schema": "json",
    "text/plain": "text",
    "application/json": "json",
}
