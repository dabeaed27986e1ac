"""W3C baggage: how attribution travels from one service to the next.

The members are `spanmeter.feature`, `spanmeter.task` and `spanmeter.tag.<key>`.
https://www.w3.org/TR/baggage/#definition: members are separated by commas, blanks around key and
value are not theirs, properties follow `;`, values are percent-encoded UTF-8 (invalid sequences
become U+FFFD), keys are plain tokens.
"""

import sys
from collections.abc import Iterable
from urllib.parse import quote, unquote

from spanmeter.grammar import (
    MAX_FEATURE_LENGTH,
    MAX_TAGS,
    UNTAGGED,
    Attribution,
    cleaned,
    fits,
    listed,
)

PREFIX = "spanmeter."
_TAG = "tag."


def names_us(baggage: bytes) -> bool:
    """Say whether a baggage header can hold a member of ours; most come from other tracers."""
    return PREFIX.encode() in baggage


def baggage_pairs(lines: Iterable[str]) -> list[tuple[str, str]]:
    """List our members of W3C baggage, without their prefix, in order; keys may repeat."""
    pairs = []
    for member in listed(",".join(lines)):
        key, _, value = member.partition(";")[0].partition("=")
        if key.startswith(PREFIX):
            name = key.removeprefix(PREFIX).rstrip(" ")
            pairs.append((name, cleaned(unquote(value, errors="replace"))))
    return pairs


def baggage_of(attribution: Attribution, others: str = "") -> str:
    """Write attribution as baggage, behind the members that `others` holds and are not ours."""
    kept = [
        member
        for member in listed(others)
        if not member.partition("=")[0].strip(" ").startswith(PREFIX)
    ]
    named = [("feature", attribution.feature), ("task", attribution.task)]
    ours = [(name, value) for name, value in named if value and value != UNTAGGED]
    ours += [(f"{_TAG}{key}", value) for key, value in attribution.tags]
    return ",".join([*kept, *(f"{PREFIX}{name}={quote(value, safe='')}" for name, value in ours)])


def inherited() -> Attribution | None:
    """Return what OpenTelemetry's current baggage says of us; `None` when it says nothing."""
    if "opentelemetry.baggage" not in sys.modules:  # then nobody can have put anything there
        return None
    found = {
        name.removeprefix(PREFIX): str(value)
        for name, value in sys.modules["opentelemetry.baggage"].get_all().items()
        if name.startswith(PREFIX)
    }
    return attribution_of(found.items()) if found else None


def attribution_of(pairs: Iterable[tuple[str, str]]) -> Attribution:
    """Read our members of baggage; what is no feature, task or tag is left out."""
    said = dict(pairs)
    tags = {
        name.removeprefix(_TAG): value
        for name, value in said.items()
        if name.startswith(_TAG) and fits(name.removeprefix(_TAG)) and fits(value)
    }
    return Attribution(
        feature=cleaned(said.get("feature", ""))[:MAX_FEATURE_LENGTH] or UNTAGGED,
        task=cleaned(said.get("task", ""))[:MAX_FEATURE_LENGTH] or None,
        tags=tuple(tags.items())[:MAX_TAGS],
    )
