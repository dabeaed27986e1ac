"""What a call is attributed to, and the grammar and limits of feature, task and tags.

Imports nothing but the standard library: every process that names a feature loads this.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from spanmeter.errors import InvalidAttribution

UNTAGGED = "untagged"
MAX_FEATURE_LENGTH = 100
"""Of a feature used as a metric label; longer ones are kept in full everywhere else."""
MAX_HALF_LENGTH = 64
"""Of a tag's key and of its value, each."""
MAX_TAGS = 10
TAG_RULE = (
    "expected key:value, each 1-64 characters of a-z A-Z 0-9 . _ -, "
    "starting and ending alphanumeric"
)

HALF = "[a-zA-Z0-9](?:[a-zA-Z0-9._-]*[a-zA-Z0-9])?"
_HALF_TAG = re.compile(HALF)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_MAX_SHOWN = 64


class Attribution(NamedTuple):
    """Whom a call is for. Tags are in order; in what a caller sends, one key may come repeatedly.

    `drops` are pairs of reason and source, as `spanmeter.attribution.TagDrop` says.
    """

    feature: str = UNTAGGED
    task: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    drops: tuple[tuple[str, str], ...] = ()


def cleaned(text: str) -> str:
    """Remove control characters, then the blanks around what is left."""
    return _CONTROL.sub("", text).strip(" ")


def listed(text: str) -> list[str]:
    """Split a comma-separated list; pieces are trimmed and empty ones left out."""
    return [piece for part in text.split(",") if (piece := part.strip(" "))]


def fits(half: str) -> bool:
    """Say whether a text can be a tag's key or value."""
    return len(half) <= MAX_HALF_LENGTH and _HALF_TAG.fullmatch(half) is not None


def shown(text: str) -> str:
    """Cut a text for an error message."""
    return text[:_MAX_SHOWN]


def check_name(kind: str, name: object) -> str:
    """Return a feature's or task's name; raises `InvalidAttribution`.

    `kind` is `feature` or `task`. A name is written by a programmer, so what the gateway would
    clean or cut is refused.
    """
    if not isinstance(name, str):
        raise InvalidAttribution(
            f"invalid_{kind}", f"a {kind} is a string, not {type(name).__name__}"
        )
    if name == UNTAGGED:
        raise InvalidAttribution(
            f"invalid_{kind}", f'"{UNTAGGED}" is what calls without a feature are counted as'
        )
    if name and name == cleaned(name) and len(name) <= MAX_FEATURE_LENGTH:
        return name
    raise InvalidAttribution(
        f"invalid_{kind}",
        f'invalid {kind} "{shown(cleaned(name))}": expected 1-{MAX_FEATURE_LENGTH} characters, '
        "no control characters, no blanks around them",
    )


def check_tag(key: object, value: object) -> tuple[str, str]:
    """Return a tag as text; raises `InvalidAttribution`. Booleans and integers are written out."""
    if isinstance(value, bool):
        value = "true" if value else "false"
    elif isinstance(value, int):
        value = str(value)
    if not isinstance(key, str) or not isinstance(value, str):
        raise InvalidAttribution(
            "invalid_tag",
            f'invalid tag "{shown(str(key))}": its value is a string, an integer or a boolean, '
            f"not {type(value).__name__}",
        )
    if fits(key) and fits(value):
        return key, value
    raise InvalidAttribution(
        "invalid_tag", f'invalid tag "{shown(cleaned(f"{key}:{value}"))}": {TAG_RULE}'
    )


def check_tags(tags: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return one tag a key, the last of each; raises `InvalidAttribution` for too many."""
    by_key = dict(tags)
    if len(by_key) > MAX_TAGS:
        raise InvalidAttribution(
            "too_many_tags",
            f'too many tags: "{shown(list(by_key)[MAX_TAGS])}", '
            f"expected at most {MAX_TAGS} distinct tags",
        )
    return tuple(by_key.items())
