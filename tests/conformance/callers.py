"""What the caller does in each row, and what it sees."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.conformance.acts import last_words
from tests.conformance.columns import CANARY, COLUMN_BY_ID, Column
from tests.conformance.expected import Cell
from tests.fakes.raw_client import RawClient
from tests.fakes.replay_provider import ReplayProvider

KEY = "matrix-secret"
KEY_NAME = "matrix"
TASK = "step-one"
BODY_LIMIT = 60_000
PATIENCE_S = 30.0
BROKEN = (ConnectionError, http.client.HTTPException)
UPSTREAM_OF_ROW = {
    "provider-401-held": "held",
    "connect-refused": "refused",
    "connect-timeout": "unroutable",
    "first-byte-timeout": "impatient",
}
"""The second half of an upstream's name; of every other row it is `plain`."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the caller got: a status, if any, and whether the answer was whole."""

    status: int | None
    is_whole: bool = True
    body: bytes = field(default=b"", compare=False)


def tags(cell: Cell) -> tuple[tuple[str, str], ...]:
    """Return the call's tags in order: two that are labels, three that are not, one key twice."""
    own = (("call", cell.id), ("step", "1"), ("step", "2"))
    return (("env", "test"), ("team", cell.column), *own)


def headers(cell: Cell) -> list[tuple[str, str]]:
    """Write the headers of a cell's call."""
    column = COLUMN_BY_ID[cell.column]
    place = UPSTREAM_OF_ROW.get(cell.row, "plain")
    lines = [
        ("x-feature", cell.row),
        ("x-task", TASK),
        ("x-tags", ",".join(f"{key}:{value}" for key, value in tags(cell))),
        ("x-provider", f"{column.provider.replace('.', '-')}-{place}"),
        ("authorization", f"Bearer {CANARY}"),
        ("content-type", "application/json"),
        ("x-script", f"act {cell.row} {cell.column}"),
        ("x-replay", column.replay),
        ("x-replay-key", cell.id),
        ("x-replay-chunking", "events" if column.is_stream else "whole"),
        *column.extra,
    ]
    if cell.row != "policy-denied":
        lines.append(("x-gateway-key", KEY))
    elif column.is_stream:
        lines.append(("x-gateway-key", CANARY))
    return lines


def body(cell: Cell) -> bytes:
    """Write the body of a cell's call."""
    column = COLUMN_BY_ID[cell.column]
    if cell.row == "malformed":
        return column.body[:-1]
    if cell.row == "oversize":
        return json.dumps(column.request | {"more": "x" * BODY_LIMIT}).encode()
    return column.body


def call(url: str, cell: Cell, provider: ReplayProvider) -> Seen:
    """Make the call of one cell, as its row says."""
    if cell.row == "left-before-usage":
        return _leave(url, cell, provider, until=b"")
    if cell.row == "left-after-usage":
        return _leave(url, cell, provider, until=last_words(COLUMN_BY_ID[cell.column]))
    with RawClient(url, timeout_s=PATIENCE_S) as client:
        try:
            answer = client.call(
                COLUMN_BY_ID[cell.column].target, body(cell), headers=headers(cell)
            )
        except BROKEN:
            return Seen(None, is_whole=False)
        return Seen(answer.status, not answer.is_cut, answer.body)


def _leave(url: str, cell: Cell, provider: ReplayProvider, *, until: bytes) -> Seen:
    """Leave once the answer has come so far, or where none begins once the provider is asked."""
    column = COLUMN_BY_ID[cell.column]
    with _request(url, cell) as connection:
        if not (until or column.is_stream):
            provider.take(cell.id)
            return Seen(None, is_whole=False)
        answer = connection.getresponse()
        got = b""
        while until not in got:
            got += answer.read1(65536)
        return Seen(answer.status, is_whole=False)


@contextmanager
def _request(url: str, cell: Cell) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_S)
    column: Column = COLUMN_BY_ID[cell.column]
    try:
        connection.request("POST", column.target, body(cell), dict(headers(cell)))
        yield connection
    finally:
        connection.close()


def expected_seen(cell: Cell) -> Seen:
    """Say what the caller must see."""
    column = COLUMN_BY_ID[cell.column]
    if cell.row in column.failures:
        return Seen(column.failures[cell.row][0])
    if cell.row in ("left-before-usage", "relay-killed") and not column.is_stream:
        return Seen(None, is_whole=False)
    if cell.row in ("left-before-usage", "left-after-usage", "relay-killed", "cut"):
        return Seen(200, is_whole=False)
    return Seen(
        {
            "policy-denied": 401,
            "connect-refused": 503,
            "connect-timeout": 503,
            "first-byte-timeout": 504,
            "malformed": 400,
            "oversize": 413,
        }.get(cell.row, 200)
    )
