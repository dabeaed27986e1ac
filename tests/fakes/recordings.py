"""The recordings of real provider traffic (tests/recordings/README.md) as plain values.

Knows the file format only; says nothing about how an exchange is played back.
"""

import base64
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "recordings"

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """One exchange. Bodies are decoded; `wire_body` is the compressed original, where kept."""

    id: str
    dialect: str
    tags: frozenset[str]
    method: str
    path: str
    request_headers: Headers
    request_body: bytes
    status: int
    response_headers: Headers
    response_body: bytes
    content_encoding: str | None
    wire_body: bytes | None
    chunk_sizes: tuple[int, ...]
    is_aborted: bool
    expected: dict[str, Any]

    @property
    def is_event_stream(self) -> bool:
        """Say whether the answer calls itself a stream of server-sent events."""
        return any(
            name == "content-type" and value.startswith("text/event-stream")
            for name, value in self.response_headers
        )

    @property
    def request(self) -> dict[str, Any]:
        """The request's JSON body; `{}` when it is not an object."""
        body = json.loads(self.request_body)
        return body if isinstance(body, dict) else {}


@cache
def all_recordings() -> tuple[Recording, ...]:
    """Read every recording, ordered by id."""
    return tuple(_read(path) for path in sorted(FOLDER.glob("*/*.json")))


def recording(recording_id: str) -> Recording:
    """Return the recording of this id; raises `KeyError`."""
    return _by_id()[recording_id]


@cache
def _by_id() -> dict[str, Recording]:
    return {each.id: each for each in all_recordings()}


def _read(path: Path) -> Recording:
    raw = json.loads(path.read_bytes())
    request, response = raw["request"], raw["response"]
    wire = response.get("wire_body_base64")
    return Recording(
        id=raw["id"],
        dialect=raw["dialect"],
        tags=frozenset(raw["tags"]),
        method=request["method"],
        path=request["path"],
        request_headers=_pairs(request["headers"]),
        request_body=_body(request),
        status=response["status"],
        response_headers=_pairs(response["headers"]),
        response_body=_body(response),
        content_encoding=response.get("recorded_content_encoding"),
        wire_body=None if wire is None else base64.b64decode(wire),
        chunk_sizes=tuple(response.get("chunk_sizes") or ()),
        is_aborted=bool(response.get("abort_after_body")),
        expected=raw["expected"],
    )


def _pairs(headers: list[list[str]]) -> Headers:
    return tuple((name, value) for name, value in headers)


def _body(message: dict[str, Any]) -> bytes:
    if "body_base64" in message:
        return base64.b64decode(message["body_base64"])
    return str(message["body"]).encode()
