"""Attribution: every header and the body's `tags`, against the rules of docs/attribution.md.

An input is header lines, a blank line, and the JSON of `tags`.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from fuzz.draw import Draw
from fuzz.target import Target
from spanmeter.attribution import (
    AttributionRules,
    attribute,
    is_attribution_header,
)
from spanmeter.errors import InvalidAttribution
from spanmeter.grammar import UNTAGGED, Attribution

HALF = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9._-]{0,62}[a-zA-Z0-9])?")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
LOST = frozenset(("malformed", "too_long", "too_many", "wrong_type"))
KEPT = frozenset(("normalised", "feature_too_long"))
SOURCES = frozenset(
    (
        *("x-tags", "x-litellm-tags", "helicone-property-*", "x-bf-dim-*", "x-portkey-metadata"),
        *("cf-aig-metadata", "tags", "baggage", "feature"),
    )
)
READ_OF_ONE_SOURCE = 256
MAX_TAGS = 10
Headers = list[tuple[bytes, bytes]]


def check(raw: bytes) -> None:
    """Attribute one call under lenient and strict rules."""
    draw = Draw(raw)
    bare_key, from_tag = draw.one_of((None, "tag")), bool(draw.number(1))
    headers, body_tags = _sent(draw.rest)
    lenient = AttributionRules(bare_tag_key=bare_key, feature_from_tag=from_tag)

    found = attribute(headers, body_tags, lenient)

    _check_rules(found)
    assert attribute(headers, body_tags, lenient) == found, "what is remembered differs"
    assert msgspec.json.decode(msgspec.json.encode(found), type=Attribution) == found
    _check_strict(headers, body_tags, found, bare_key=bare_key, from_tag=from_tag)
    _check_native(found, from_tag=from_tag)
    if body_tags is None and bare_key is None and {name for name, _ in headers} == {b"x-tags"}:
        _check_list(headers, found)


def _sent(text: bytes) -> tuple[Headers, Any]:
    head, _, body = text.partition(b"\n\n")
    headers = []
    for line in head.split(b"\n"):
        name, _, value = line.partition(b":")
        name = name.strip(b" ").lower()
        if is_attribution_header(name) and b"\r" not in line and name.isascii():
            headers.append((name, value.strip(b" \t")))
    try:
        return headers, msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return headers, None


def _check_rules(found: Attribution) -> None:
    for key, value in found.tags:
        assert HALF.fullmatch(key), "a key outside the grammar"
        assert HALF.fullmatch(value), "a value outside the grammar"
    assert len(found.tags) == len(set(found.tags)) <= MAX_TAGS
    assert found.feature
    for text in (found.feature, found.task or ""):
        assert not CONTROL.search(text)
        assert text == text.strip(" ")
    assert found.task != ""
    for reason, source in found.drops:
        assert reason in LOST | KEPT
        assert source in SOURCES
    assert (("feature_too_long", "feature") in found.drops) == (len(found.feature) > 100)


def _check_strict(
    headers: Headers, body_tags: Any, found: Attribution, *, bare_key: str | None, from_tag: bool
) -> None:
    strict = AttributionRules(strict=True, bare_tag_key=bare_key, feature_from_tag=from_tag)
    is_refused = False
    try:
        again = attribute(headers, body_tags, strict)
        assert again == found
    except InvalidAttribution as error:
        is_refused = True
        assert error.code in ("invalid_tag", "too_many_tags")
        assert len(str(error)) < 400
        str(error).encode()
    assert is_refused == any(reason in LOST for reason, _ in found.drops), "strict differs"


def _check_native(found: Attribution, *, from_tag: bool) -> None:
    """Send what was found in our own headers: it must arrive unchanged, with nothing dropped."""
    lines = [(b"x-tags", ",".join(f"{key}:{value}" for key, value in found.tags).encode())]
    if found.feature != UNTAGGED:
        lines.append((b"x-feature", found.feature.encode()))
    if found.task is not None:
        lines.append((b"x-task", found.task.encode()))
    again = attribute(lines, None, AttributionRules(feature_from_tag=from_tag))
    assert (again.tags, again.task) == (found.tags, found.task)
    named_by_tag = len([1 for key, _ in found.tags if key == "feature"]) == 1
    assert again.feature == found.feature or (found.feature == UNTAGGED and named_by_tag)
    assert all(reason == "feature_too_long" for reason, _ in again.drops)


def _check_list(headers: Headers, found: Attribution) -> None:
    """Compare with a list read by the rules as they are documented, and nothing clever."""
    texts = [_text(value) for _, value in headers]
    pieces = [piece for piece in (part.strip(" ") for part in ",".join(texts).split(",")) if piece]
    read = [piece.partition(":") for piece in pieces[:READ_OF_ONE_SOURCE]]
    good = {(key, value): None for key, _, value in read if _is_half(key) and _is_half(value)}
    bad = sum(not (_is_half(key) and _is_half(value)) for key, _, value in read)
    beyond = max(len(good) - MAX_TAGS, 0) + (len(pieces) > READ_OF_ONE_SOURCE)
    assert found.tags == tuple(good)[:MAX_TAGS]
    assert len([1 for reason, _ in found.drops if reason in LOST]) == bad + beyond


def _text(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return CONTROL.sub("", text).strip(" ")


def _is_half(text: str) -> bool:
    return HALF.fullmatch(text) is not None


def _seeds() -> Iterator[bytes]:
    lines = (
        b"x-feature: checkout", b"x-lectr-feature: search", b"x-task: extraction",
        b"x-lectr-task: summarise", b"x-tags: env:prod, team:search,beta,-a:b",
        b"x-litellm-tags: env:prod,env:eu", b"helicone-property-env: R&D, Munich",
        b"helicone-property-feature: chat", b"x-bf-dim-team: search",
        b'x-portkey-metadata: {"feature":"chat","_user":"u1","n":1.5,"t":{"a":1}}',
        b'cf-aig-metadata: {"beta":true,"team":null}',
        b"baggage: spanmeter.feature=chat,spanmeter.tag.env=prod%20x;p=1,other=1",
    )  # fmt: skip
    bodies = (b'["env:prod",7,null]', b'"env:prod,team:search"', b'{"env":"prod"}', b"")
    for line in lines:
        yield b"\0\0" + line + b"\n\n"
    for body in bodies:
        yield b"\0\1" + b"\n".join(lines) + b"\n\n" + body
    yield b"\0\0x-tags: " + b"k" * 65 + b":v,k:" + b"v" * 64 + b",\xc2\x85a:b,\x01c:d"
    yield b"\0\0x-tags: " + b",".join(b"k%d:v" % number for number in range(260))


TARGET = Target(
    name="tags",
    check=check,
    seeds=_seeds,
    words=(
        *(b"\nx-feature: ", b"\nx-task: ", b"\nx-tags: ", b"\nx-litellm-tags: ", b"\n\n["),
        *(b"\nhelicone-property-", b"\nx-bf-dim-", b"\nx-portkey-metadata: {", b"\nbaggage: "),
        *(b"\ncf-aig-metadata: {", b"spanmeter.feature=", b"spanmeter.tag.", b"spanmeter.task="),
        *(b"feature:", b'"feature":', b"env:prod", b"%20", b"%2C", b"%ff", b"\xc2\x85", b"\xe9"),
        *(b"a" * 65, b"\\u0000", b"\\ud83d", b"1e400", b"null", b";p=1", b",", b'":"'),
    ),
)
