"""Attribution: the feature, task and tags of one call, merged from all that a caller may send.

Pure. Sources count in the order header, body, W3C baggage. Among headers the compatible name
(`X-Lectr-*`) stands before the neutral one, and native headers before those of other gateways.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from spanmeter import attribution_sources as sources
from spanmeter.baggage import baggage_pairs, names_us
from spanmeter.errors import InvalidAttribution
from spanmeter.grammar import (
    HALF,
    MAX_FEATURE_LENGTH,
    MAX_HALF_LENGTH,
    MAX_TAGS,
    TAG_RULE,
    UNTAGGED,
    Attribution,
    cleaned,
    fits,
    listed,
    shown,
)

_MAX_READ = 256
"""Pieces read of one source: many times what is kept, so that no caller can stall the loop."""
_MAX_KNOWN = 1024
_MAX_KNOWN_BYTES = 2048
"""Header sets remembered, and the size of one: together a few MB at most."""

_TAG = re.compile(f"({HALF}):({HALF})")
_OUTSIDE = re.compile("[^a-zA-Z0-9._-]")


class TagDrop(NamedTuple):
    """What was dropped or altered, and why.

    `reason` is `malformed`, `too_long`, `too_many` or `wrong_type` for what was dropped,
    `normalised` for another gateway's tag that was altered, and `feature_too_long` for a feature
    that is cut where it becomes a label. `source` is where it stood: the header's name
    (`helicone-property-*` for all with that prefix), `tags` of the body, or `feature`. What was
    sent is not told: text that is no tag may be anything, a key or a prompt among it.
    """

    reason: str
    source: str


@dataclass(frozen=True, slots=True)
class AttributionRules:
    """The operator's choices. `strict` refuses a call for a tag that lenient rules would drop.

    `bare_tag_key` gives tags without a colon a key (`beta` becomes `tag:beta`). With
    `feature_from_tag` a call without a feature takes it from its only `feature:<value>` tag.
    """

    strict: bool = False
    bare_tag_key: str | None = None
    feature_from_tag: bool = True
    max_tags: int = MAX_TAGS
    known: dict[tuple[tuple[bytes, bytes], ...], Attribution] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """Header sets already read under these rules."""


_NOBODY = Attribution()


def is_attribution_header(name: bytes) -> bool:
    """Say whether the header of this lower-case name attributes a call."""
    return name in sources.NAMES or name.startswith(sources.FOREIGN_PREFIXES)


def attribute(
    headers: Sequence[tuple[bytes, bytes]], body_tags: object, rules: AttributionRules
) -> Attribution:
    """Merge a call's attribution headers and the raw JSON value of its body's `tags`.

    `headers` are pairs of lower-case name and raw value, in order of arrival, and attribution
    headers only. Tags are validated, then deduplicated, then held to the limit. A native tag is
    kept as it is or dropped; another gateway's tag that does not fit the grammar is altered to
    fit. The first `feature` or `task` of another gateway is the call's own when no native header
    gave one, else it is a tag like its siblings.

    Raises `InvalidAttribution` if the rules are strict and a tag would be dropped.
    """
    if body_tags is not None:
        return _read(headers, body_tags, rules)
    if not headers:
        return _NOBODY
    key = tuple(headers)
    if (known := rules.known.get(key)) is not None:
        return known
    # Tracers add baggage that differs with each call; it must not crowd out what repeats.
    key = tuple(pair for pair in key if pair[0] != b"baggage" or names_us(pair[1]))
    return rules.known.get(key) or _remembered(key, rules)


def _remembered(key: tuple[tuple[bytes, bytes], ...], rules: AttributionRules) -> Attribution:
    attribution = _read(key, None, rules)
    if sum(len(name) + len(value) for name, value in key) <= _MAX_KNOWN_BYTES:
        if len(rules.known) >= _MAX_KNOWN:
            rules.known.clear()
        rules.known[key] = attribution
    return attribution


def _read(
    headers: Sequence[tuple[bytes, bytes]], body_tags: object, rules: AttributionRules
) -> Attribution:
    lines: dict[bytes, list[str]] = {}
    for name, raw in headers:
        lines.setdefault(name, []).append(sources.header_text(raw))
    merge = _Merge(rules)
    merge.feature = _first(lines, b"x-lectr-feature", b"x-feature")
    merge.task = _first(lines, b"x-lectr-task", b"x-task")
    for native in (b"x-tags", b"x-litellm-tags"):
        if native in lines:
            merge.source = native.decode()
            merge.add_native(listed(",".join(lines[native])))
    for name, texts in lines.items():
        if name in sources.FOREIGN_JSON or name.startswith(sources.FOREIGN_PREFIXES):
            for text in texts:
                merge.add_header(name, text)
    merge.add_body(body_tags)
    merge.bridge_feature()
    merge.add_baggage(baggage_pairs(lines.get(b"baggage", ())))
    merge.bridge_feature()
    return merge.finish()


def _first(lines: dict[bytes, list[str]], *names: bytes) -> str | None:
    return next((text for name in names for text in lines.get(name, ()) if text), None)


class _Merge:
    """The merge of one call's sources, in the order in which they are added."""

    def __init__(self, rules: AttributionRules) -> None:
        self.rules = rules
        self.feature: str | None = None
        self.task: str | None = None
        self.tags: dict[tuple[str, str], str] = {}
        """Each with the source that it came from first."""
        self.source = "tags"
        self.drops: list[TagDrop] = []

    def add_native(self, pieces: Sequence[object]) -> None:
        for piece in pieces[:_MAX_READ]:
            if isinstance(piece, str):
                self._add_tag(piece)
            else:
                self._drop("malformed", _shown(piece))
        if len(pieces) > _MAX_READ:
            self._drop("too_many", _shown(pieces[_MAX_READ]))

    def _add_tag(self, piece: str) -> None:
        bare_key = self.rules.bare_tag_key
        text = f"{bare_key}:{piece}" if bare_key and piece and ":" not in piece else piece
        if (match := _TAG.fullmatch(text)) is None:
            self._drop("malformed", piece)
        elif max(map(len, match.groups())) > MAX_HALF_LENGTH:
            self._drop("too_long", piece)
        else:
            self.tags.setdefault((match[1], match[2]), self.source)

    def add_body(self, body_tags: object) -> None:
        self.source = "tags"
        if isinstance(body_tags, str):
            self.add_native(listed(cleaned(body_tags)))
        elif isinstance(body_tags, list):
            self.add_native(body_tags)
        elif body_tags is not None:
            self._drop("wrong_type", _shown(body_tags), "expected an array of key:value strings")

    def add_header(self, name: bytes, text: str) -> None:
        """Add what another gateway's header says."""
        self.source = sources.foreign_source(name)
        pairs: list[tuple[str, Any]] = []
        try:
            pairs = sources.foreign_pairs(name, text)
        except msgspec.ValidationError:
            self._drop("wrong_type", f"{name.decode()}: {text}", "expected a JSON object")
        except (msgspec.DecodeError, RecursionError):
            self._drop("malformed", f"{name.decode()}: {text}", "expected a JSON object")
        for key, value in pairs[:_MAX_READ]:
            self._add_foreign(key, value)
        if len(pairs) > _MAX_READ:
            self._drop("too_many", pairs[_MAX_READ][0])

    def _add_foreign(self, key: str, value: Any) -> None:
        text = sources.scalar_text(value)
        if text is None:
            rule = "expected a string, a number or a boolean"
            self._drop("wrong_type", f"{key}:{sources.json_type(value)}", rule)
        elif text and key.lower() == "feature" and self.feature is None:
            self.feature = text
        elif text and key.lower() == "task" and self.task is None:
            self.task = text
        else:
            self._add_normalised(key, text)

    def _add_normalised(self, key: str, value: str) -> None:
        tag = (
            key if fits(key) else _fitted(key.lower()),
            value if fits(value) else _fitted(value),
        )
        if not all(tag):
            self._drop("malformed", f"{key}:{value}")
            return
        if tag != (key, value):
            self._note("normalised")
        self.tags.setdefault(tag, self.source)

    def add_baggage(self, pairs: Iterable[tuple[str, str]]) -> None:
        self.source = "baggage"
        tags = []
        for name, value in pairs:
            if name == "feature":
                self.feature = self.feature or value or None
            elif name == "task":
                self.task = self.task or value or None
            elif name.startswith("tag."):
                tags.append(f"{name.removeprefix('tag.')}:{value}")
        self.add_native(tags)

    def bridge_feature(self) -> None:
        """Take the feature from the only `feature:<value>` tag so far, which stays a tag."""
        if self.feature is None and self.rules.feature_from_tag:
            values = [value for key, value in self.tags if key == "feature"]
            self.feature = values[0] if len(values) == 1 else None

    def finish(self) -> Attribution:
        for (key, value), source in islice(self.tags.items(), self.rules.max_tags, None):
            self.source = source
            self._drop("too_many", f"{key}:{value}")
        feature = self.feature or UNTAGGED
        if len(feature) > MAX_FEATURE_LENGTH:
            self.drops.append(TagDrop("feature_too_long", "feature"))
        return Attribution(
            feature=feature,
            task=self.task,
            tags=tuple(islice(self.tags, self.rules.max_tags)),
            drops=tuple(self.drops),
        )

    def _note(self, reason: str) -> None:
        self.drops.append(TagDrop(reason, self.source))

    def _drop(self, reason: str, value: str, rule: str = TAG_RULE) -> None:
        if not self.rules.strict:
            self._note(reason)
        elif reason == "too_many":
            rule = f"expected at most {self.rules.max_tags} distinct tags"
            raise InvalidAttribution("too_many_tags", f'too many tags: "{shown(value)}", {rule}')
        else:
            raise InvalidAttribution("invalid_tag", f'invalid tag "{shown(value)}": {rule}')


def _shown(piece: object) -> str:
    text = sources.scalar_text(piece)
    return sources.json_type(piece) if text is None else text


def _fitted(half: str) -> str:
    return _OUTSIDE.sub("-", half).strip("._-")[:MAX_HALF_LENGTH].rstrip("._-")
