"""Every recording, in every split of its bytes, gives the facts that were computed beside it."""

import json
import random
from base64 import b64decode
from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from spanmeter.dialects.dialect import Dialect, RequestFacts, ResponseFacts
from spanmeter.dialects.registry import recognise
from spanmeter.usage import Usage

RECORDINGS = sorted(Path(__file__).parents[2].joinpath("recordings").glob("*/*.json"))
COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
)
Split = Callable[[dict[str, Any], bytes], Iterable[bytes]]


def body_of(message: dict[str, Any]) -> bytes:
    text = message.get("body")
    return b64decode(message["body_base64"]) if text is None else text.encode()


def path_of(recording: dict[str, Any]) -> str:
    return str(recording["request"]["path"]).partition("?")[0]


def dialect_of(recording: dict[str, Any]) -> Dialect:
    dialect = recognise(recording["request"]["method"], path_of(recording))
    assert dialect is not None
    return dialect


def describe(recording: dict[str, Any]) -> RequestFacts:
    return dialect_of(recording).describe(body_of(recording["request"]), path_of(recording))


def cut_at(body: bytes, places: Iterable[int]) -> list[bytes]:
    return [body[start:end] for start, end in pairwise([0, *sorted(places), len(body)])]


def whole(recording: dict[str, Any], body: bytes) -> list[bytes]:
    return [body]


def bytewise(recording: dict[str, Any], body: bytes) -> Iterable[bytes]:
    return (body[at : at + 1] for at in range(len(body)))


def by_line(recording: dict[str, Any], body: bytes) -> list[bytes]:
    return body.splitlines(keepends=True)


def by_event(recording: dict[str, Any], body: bytes) -> list[bytes]:
    breaks = (at + 2 for at in range(len(body)) if body.startswith((b"\n\n", b"\n\r\n"), at))
    return cut_at(body, breaks)


def as_recorded(recording: dict[str, Any], body: bytes) -> list[bytes]:
    sizes = recording["response"].get("chunk_sizes", [])
    return cut_at(body, (sum(sizes[:at]) for at in range(1, len(sizes))))


def at_random(seed: int) -> Split:
    def split(recording: dict[str, Any], body: bytes) -> list[bytes]:
        dice = random.Random(f"{seed} {recording['id']}")
        return cut_at(body, (dice.randint(0, len(body)) for _ in range(dice.randint(1, 60))))

    split.__name__ = f"at_random_{seed}"
    return split


SPLITS = (
    whole,
    bytewise,
    by_line,
    by_event,
    as_recorded,
    *(at_random(seed) for seed in range(4)),
)


def tally(recording: dict[str, Any], pieces: Iterable[bytes]) -> ResponseFacts:
    response = recording["response"]
    account = dialect_of(recording).tally(
        status=response["status"],
        content_type=dict(response["headers"]).get("content-type", ""),
        stream=describe(recording).stream,
    )
    for piece in pieces:
        account.feed(piece)
    return account.close()


def told(recording: dict[str, Any], facts: ResponseFacts) -> dict[str, Any]:
    """Arrange what we found in the words of `expected`."""
    usage = facts.usage or Usage()
    request = describe(recording)
    return {
        "request_model": request.model,
        "stream": request.stream,
        "operation": dialect_of(recording).operation,
        "response_model": facts.response_model,
        "finish_reasons": facts.finish_reasons,
        "response_status": facts.response_status,
        "incomplete_reason": facts.incomplete_reason,
        "error_type": facts.error_type,
        "is_error": facts.is_error,
        "unread": facts.unread,
        "reported_cost_usd": facts.reported_cost_usd and Decimal(facts.reported_cost_usd),
    } | {name: getattr(usage, name) for name in COUNTS}


def expected(recording: dict[str, Any]) -> dict[str, Any]:
    truth = recording["expected"]
    reasons = truth["finish_reasons"]
    cost = truth.get("reported_cost_usd")
    return {
        "request_model": truth["request_model"],
        "stream": truth["stream"],
        "operation": truth["operation"],
        "response_model": truth["response_model"],
        # A choice that never ended has no reason to report; Vertex' integers are told as text.
        "finish_reasons": None
        if reasons is None
        else tuple(str(each) for each in reasons if each is not None),
        "response_status": truth.get("response_status"),
        "incomplete_reason": truth.get("incomplete_reason"),
        "error_type": truth["error_type"],
        "is_error": truth["error_type"] is not None,
        "unread": None,
        "reported_cost_usd": None if cost is None else Decimal(repr(cost)),
    } | {name: truth.get(name) for name in COUNTS}


def load(path: Path) -> dict[str, Any]:
    recording: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return recording


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_split_gives_the_expected_facts(path: Path) -> None:
    recording = load(path)
    body = body_of(recording["response"])

    found = {
        split.__name__: told(recording, tally(recording, split(recording, body)))
        for split in SPLITS
    }

    assert found == dict.fromkeys(found, expected(recording))
    assert len(found) == len(SPLITS)


def test_there_are_150_recordings() -> None:
    assert len(RECORDINGS) == 150
