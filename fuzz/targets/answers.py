"""The copy of an answer: every tally of every dialect, fed in any pieces.

Properties: nothing is raised; the facts do not depend on the pieces; counts are never negative and
texts are bounded; the caller's bytes go on as they came, less the usage chunk that was asked for.
"""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

import msgspec

from fuzz.draw import IN_SEVENS, WHOLE, Draw
from fuzz.seeds import plain_path, small_recordings
from fuzz.target import Target
from spanmeter.dialects import answer
from spanmeter.dialects.dialect import Dialect, ResponseFacts
from spanmeter.dialects.registry import DIALECTS, recognise
from spanmeter_gateway.relay.meter import Meter

STATUSES = (200, 400, 529, 204, 302)
KINDS = ("text/event-stream", "application/json", "")
LONGEST_TEXT = 256
IN_PIECES_BYTES = 1500
BULKS = (answer.BULK_BYTES, 1, 100)
"""Sizes of a scan; the small ones put a scan between any two pieces."""


def check(raw: bytes) -> None:
    """Read one answer whole and in pieces."""
    draw = Draw(raw)
    dialect, status, kind = draw.one_of(DIALECTS), draw.one_of(STATUSES), draw.one_of(KINDS)
    is_stream, bulk = bool(draw.number(1)), draw.one_of(BULKS)
    split = draw.split()
    body = draw.rest

    facts = _facts(dialect, [body], status=status, kind=kind, is_stream=is_stream)
    usual, answer.BULK_BYTES = answer.BULK_BYTES, bulk
    try:
        pieces = split.cut(body)
        again = _facts(dialect, pieces, status=status, kind=kind, is_stream=is_stream)
    finally:
        answer.BULK_BYTES = usual

    assert again == facts, "the facts depend on the pieces"
    _hold_to_bounds(facts)
    _check_bytes(dialect, split.cut(body), status=status, kind=kind)


def _facts(
    dialect: Dialect, pieces: Sequence[bytes], *, status: int, kind: str, is_stream: bool
) -> ResponseFacts:
    tally = dialect.tally(status=status, content_type=kind, stream=is_stream)
    for piece in pieces:
        tally.feed(piece)
    return tally.close()


def _hold_to_bounds(facts: ResponseFacts) -> None:
    for value in msgspec.structs.astuple(facts.usage) if facts.usage is not None else ():
        assert value is None or (type(value) is int and 0 <= value < 2**60), "a count is odd"
    for cost in (facts.reported_cost_usd, facts.upstream_cost_usd):
        assert cost is None or Decimal(cost) >= 0
    texts = [
        *(facts.response_model, facts.response_id, facts.response_status, facts.error_type),
        *(facts.incomplete_reason, facts.service_tier, facts.system_fingerprint),
        *(facts.finish_reasons or ()),
    ]
    assert all(len(text) <= LONGEST_TEXT for text in texts if text is not None)
    msgspec.json.encode(facts)  # what a receipt could not carry would end the call without one


def _check_bytes(dialect: Dialect, pieces: Sequence[bytes], *, status: int, kind: str) -> None:
    body = b"".join(pieces)
    assert _passed(dialect, pieces, status=status, kind=kind, hides_usage=False) == body
    shown = _passed(dialect, pieces, status=status, kind=kind, hides_usage=True)
    assert shown == _passed(dialect, [body], status=status, kind=kind, hides_usage=True)
    assert _is_left_of(shown, body), "more than whole events with an empty choices list is missing"


def _passed(
    dialect: Dialect, pieces: Sequence[bytes], *, status: int, kind: str, hides_usage: bool
) -> bytes:
    meter = Meter(
        dialect,
        status=status,
        content_type=kind,
        content_encoding=None,
        is_stream=True,
        hides_usage=hides_usage,
    )
    shown = [meter.read(piece) for piece in pieces]
    meter.close()
    return b"".join([*shown, meter.rest()])


_EVENT = re.compile(rb".*?(?:(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)|\Z)", re.DOTALL)


def _is_left_of(shown: bytes, body: bytes) -> bool:
    """Say whether `shown` is `body` less events that could be a usage chunk."""
    at = 0
    for event in _EVENT.findall(body):
        if shown.startswith(event, at):
            at += len(event)
        elif b'"choices"' in event and b'"usage"' in event.replace(b"\\u", b'"usage"'):
            at += len(event) - len(event.lstrip(b"\r\n"))
        else:
            return False
    return at == len(shown)


def _seeds() -> Iterator[bytes]:
    places = {dialect.name: place for place, dialect in enumerate(DIALECTS)}
    for each in small_recordings():
        dialect = recognise("POST", plain_path(each))
        if dialect is not None:
            kind = 0 if each.is_event_stream else 1
            status = STATUSES.index(each.status) if each.status in STATUSES else 1
            choices = bytes([places[dialect.name], status, kind, 1 - kind])
            yield choices + b"\0" + WHOLE + each.response_body
            if len(each.response_body) < IN_PIECES_BYTES:
                yield choices + b"\1" + IN_SEVENS + each.response_body


TARGET = Target(
    name="answers",
    check=check,
    seeds=_seeds,
    words=(
        *(b"data: ", b"event: ", b"\n\n", b"\r\n\r\n", b"\r\r", b"[DONE]", b": ping\n\n"),
        *(b'"usage":', b'"choices":[]', b'"error":{', b'"finish_reason":"', b'"model":"'),
        *(b'"prompt_tokens":', b'"completion_tokens":', b'"input_tokens":', b'"output_tokens":'),
        *(b'"type":"message_delta"', b'"type":"message_start"', b'"type":"response.completed"'),
        *(b'"usageMetadata":{', b'"promptTokenCount":', b'"candidates":[', b'"response":{'),
        *(b'"cost":', b"1e999", b"-1", b"\\ud83d", b"\xef\xbb\xbf", b'{"', b"},{", b"null"),
    ),
    max_bytes=8192,
)
