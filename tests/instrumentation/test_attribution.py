import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmeter.attribution import (
    AttributionRules,
    TagDrop,
    attribute,
    is_attribution_header,
)
from spanmeter.grammar import Attribution

Headers = list[tuple[bytes, bytes]]

LENIENT = AttributionRules()


def read(*headers: tuple[str, str], body_tags: object = None) -> Attribution:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return attribute(raw, body_tags, AttributionRules())


def test_a_call_without_attribution_is_untagged() -> None:
    attribution = attribute((), None, LENIENT)

    assert attribution == Attribution(feature="untagged", task=None, tags=(), drops=())


@pytest.mark.parametrize("name", ["x-feature", "x-lectr-feature"])
@pytest.mark.parametrize(
    "value", ["chat", "Chat_Bot-2", "untagged", "a b", "Größe", "检索", "reasoning:x", "f" * 100]
)
def test_a_feature_is_kept_as_sent(name: str, value: str) -> None:
    assert read((name, value)) == Attribution(feature=value)


@pytest.mark.parametrize("length", [101, 5000])
def test_a_feature_over_100_characters_is_kept_in_full_and_noted(length: int) -> None:
    feature = "é" * length

    attribution = read(("x-feature", feature))

    assert attribution == Attribution(
        feature=feature, drops=(TagDrop("feature_too_long", "feature"),)
    )


def test_strict_rules_do_not_refuse_a_long_feature() -> None:
    attribution = attribute([(b"x-feature", b"f" * 101)], None, AttributionRules(strict=True))

    assert attribution.feature == "f" * 101


@pytest.mark.parametrize("value", ["", "  ", "\t", "\x01"])
def test_an_empty_feature_is_a_missing_one(value: str) -> None:
    assert read(("x-feature", value)) == Attribution()


@pytest.mark.parametrize(
    ("raw", "feature"),
    [
        (" \t chat \t", "chat"),
        (b"caf\xc3\xa9", "café"),
        (b"caf\xe9", "café"),
        (b"ch\x00a\x1ft\x7f", "chat"),
        (b"ch\xc2\x85at", "chat"),
        (b"\x85\xe9", "é"),
        (b"\x00 chat \x00", "chat"),
    ],
)
def test_header_bytes_are_utf_8_else_latin_1_without_control_characters(
    raw: bytes | str, feature: str
) -> None:
    value = raw.encode() if isinstance(raw, str) else raw

    assert attribute([(b"x-feature", value)], None, LENIENT) == Attribution(feature=feature)


@pytest.mark.parametrize("value", ["classification", "summarisation", "Reasoning", "my own"])
@pytest.mark.parametrize("name", ["x-task", "x-lectr-task"])
def test_a_task_is_kept_as_sent(name: str, value: str) -> None:
    assert read((name, value)) == Attribution(task=value)


def test_the_compatible_name_wins_over_the_neutral_one() -> None:
    attribution = read(
        ("x-feature", "neutral"),
        ("x-task", "neutral"),
        ("x-lectr-feature", "compatible"),
        ("x-lectr-task", "compatible"),
    )

    assert attribution == Attribution(feature="compatible", task="compatible")


def test_an_empty_compatible_name_leaves_the_neutral_one() -> None:
    assert read(("x-lectr-feature", " "), ("x-feature", "chat")) == Attribution(feature="chat")


def test_the_first_line_that_is_not_empty_counts() -> None:
    attribution = read(("x-feature", ""), ("x-feature", "first"), ("x-feature", "second"))

    assert attribution == Attribution(feature="first")


def test_tag_headers_are_split_at_commas_and_trimmed() -> None:
    attribution = read(("x-tags", " env:prod ,,\tteam:ml, "))

    assert attribution == Attribution(tags=(("env", "prod"), ("team", "ml")))


def test_tags_merge_in_the_order_headers_body_baggage() -> None:
    attribution = read(
        ("baggage", "spanmeter.tag.k=baggage"),
        ("x-bf-dim-k", "bifrost"),
        ("x-litellm-tags", "k:litellm,shared:1"),
        ("x-tags", "k:first"),
        ("cf-aig-metadata", '{"k": "cloudflare"}'),
        ("x-tags", "k:second"),
        body_tags=["k:body", "shared:1"],
    )

    assert attribution.tags == (
        ("k", "first"),
        ("k", "second"),
        ("k", "litellm"),
        ("shared", "1"),
        ("k", "bifrost"),
        ("k", "cloudflare"),
        ("k", "body"),
        ("k", "baggage"),
    )


@pytest.mark.parametrize(
    ("headers", "body_tags"),
    [
        ([("x-tags", "feature:chat")], None),
        ([("x-litellm-tags", "feature:chat")], ["feature:chat"]),
        ([], ["feature:chat"]),
        ([("baggage", "spanmeter.tag.feature=chat")], None),
    ],
)
def test_an_only_feature_tag_is_the_feature_and_stays_a_tag(
    headers: list[tuple[str, str]], body_tags: object
) -> None:
    attribution = read(*headers, body_tags=body_tags)

    assert attribution == Attribution(feature="chat", tags=(("feature", "chat"),))


def test_a_feature_header_wins_over_a_feature_tag() -> None:
    attribution = read(("x-tags", "feature:tag"), ("x-feature", "header"))

    assert attribution == Attribution(feature="header", tags=(("feature", "tag"),))


def test_two_feature_tags_make_no_feature() -> None:
    assert read(("x-tags", "feature:a"), body_tags=["feature:b"]).feature == "untagged"


def test_the_bridge_from_feature_tags_can_be_switched_off() -> None:
    rules = AttributionRules(feature_from_tag=False)

    attribution = attribute([(b"x-tags", b"feature:a")], None, rules)

    assert attribution == Attribution(tags=(("feature", "a"),))


@pytest.mark.parametrize(
    ("headers", "body_tags", "feature"),
    [
        ([("x-feature", "header"), ("x-bf-dim-feature", "foreign")], ["feature:body"], "header"),
        ([("x-bf-dim-feature", "foreign")], ["feature:body"], "foreign"),
        ([], ["feature:body"], "body"),
        ([], None, "baggage"),
    ],
)
def test_the_feature_comes_from_header_then_body_then_baggage(
    headers: list[tuple[str, str]], body_tags: object, feature: str
) -> None:
    baggage = ("baggage", "spanmeter.feature=baggage,spanmeter.tag.feature=baggage-tag")

    assert read(*headers, baggage, body_tags=body_tags).feature == feature


@pytest.mark.parametrize(
    "name",
    [
        *("x-feature", "x-lectr-feature", "x-task", "x-lectr-task", "x-tags", "x-litellm-tags"),
        *("x-portkey-metadata", "cf-aig-metadata", "baggage"),
        *("helicone-property-app", "helicone-property-", "x-bf-dim-team"),
    ],
)
def test_attribution_headers_are_recognised_by_lower_case_name(name: str) -> None:
    assert is_attribution_header(name.encode())


@pytest.mark.parametrize(
    "name",
    [
        *("authorization", "content-type", "traceparent", "x-features", "x-gateway-key"),
        *("x-lectr-key", "x-provider", "helicone-auth", "x-portkey-config"),
        *("cf-aig-cache-ttl", "x-bf-vk", "x-bf-eh-foo"),
    ],
)
def test_other_headers_are_no_attribution_headers(name: str) -> None:
    assert not is_attribution_header(name.encode())


def test_what_is_remembered_of_one_set_of_rules_does_not_reach_another() -> None:
    headers = [(b"x-tags", b"a:1,b:2")]
    one, two = AttributionRules(max_tags=1), AttributionRules(max_tags=2)

    attributions = [attribute(headers, None, rules) for rules in (one, two, one)]

    assert [len(each.tags) for each in attributions] == [1, 2, 1]


def test_a_repeated_header_set_is_answered_with_the_same_value() -> None:
    rules = AttributionRules()

    first = attribute([(b"x-feature", b"chat"), (b"baggage", b"other=1")], None, rules)
    second = attribute([(b"x-feature", b"chat"), (b"baggage", b"other=2")], None, rules)

    assert first is second


def test_the_memory_of_header_sets_is_bounded() -> None:
    rules = AttributionRules()

    for number in range(3000):
        attribute([(b"x-feature", b"%d" % number)], None, rules)
    attribute([(b"x-feature", b"f" * 5000)], None, rules)

    assert len(rules.known) <= 1024
    assert all(len(key[0][1]) < 5000 for key in rules.known)


def test_memory_is_no_part_of_the_rules_value() -> None:
    rules = AttributionRules(strict=True)

    attribute([(b"x-feature", b"chat")], None, rules)

    assert rules == AttributionRules(strict=True)
    assert dataclasses.replace(rules, strict=False) == AttributionRules()


NAMES = st.sampled_from(
    [
        b"x-feature",
        b"x-task",
        b"x-tags",
        b"x-litellm-tags",
        b"x-portkey-metadata",
        b"cf-aig-metadata",
        b"helicone-property-a b",
        b"x-bf-dim-\xff",
        b"baggage",
    ]
)
SOURCES = {
    "x-tags",
    "x-litellm-tags",
    "x-portkey-metadata",
    "cf-aig-metadata",
    "helicone-property-*",
    "x-bf-dim-*",
    "baggage",
    "tags",
    "feature",
}
VALUES = st.binary(max_size=40) | st.text('{}[]":,;=%spanmeter.tag1', max_size=40).map(str.encode)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(headers=st.lists(st.tuples(NAMES, VALUES), max_size=4), body_tags=JSON)
def test_lenient_rules_take_anything_and_keep_only_what_fits(
    headers: Headers, body_tags: object
) -> None:
    attribution = attribute(headers, body_tags, LENIENT)

    strict = AttributionRules(strict=True)
    kept = [f"{key}:{value}" for key, value in attribution.tags]
    assert attribute((), kept, strict).tags == attribution.tags
    assert attribution.feature == attribution.feature.strip(" ") != ""
    assert {source for _, source in attribution.drops} <= SOURCES
