import pytest

from spanmeter.attribution import AttributionRules, TagDrop, attribute
from spanmeter.errors import InvalidAttribution
from spanmeter.grammar import Attribution

LENIENT = AttributionRules()
STRICT = AttributionRules(strict=True)
A64, A65 = "a" * 64, "a" * 65
RULE = (
    "expected key:value, each 1-64 characters of a-z A-Z 0-9 . _ -, "
    "starting and ending alphanumeric"
)


def from_body(*tags: object, rules: AttributionRules = LENIENT) -> Attribution:
    return attribute((), list(tags), rules)


@pytest.mark.parametrize(
    "tag",
    [
        "env:prod",
        "a:b",
        "experiment.v2:run-42",
        "region:us.west.1",
        "x..y:1--2",
        "Env:PROD",
        f"{A64}:{A64}",
    ],
)
def test_a_tag_of_the_grammar_is_kept_as_it_is(tag: str) -> None:
    attribution = from_body(tag, rules=STRICT)

    key, value = tag.split(":")
    assert attribution == Attribution(tags=((key, value),))


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        *((tag, "malformed") for tag in ("env", ":prod", "env:", ":", "")),
        *((tag, "malformed") for tag in ("-env:prod", "env:prod-", ".a:b", "a_:b")),
        *((tag, "malformed") for tag in ("a:b:c", "url:http://x")),
        *((tag, "malformed") for tag in ("team:ml platform", "env: prod", "e:é", "env:prod\n")),
        *((tag, "malformed") for tag in (" env:prod", "env:prod,a:b")),
        *((tag, "too_long") for tag in (f"{A65}:b", f"b:{A65}")),
        (f"{A65}-:b", "malformed"),
    ],
)
def test_a_tag_outside_the_grammar_is_dropped_for_its_reason(tag: str, reason: str) -> None:
    attribution = from_body(tag)

    assert attribution == Attribution(drops=(TagDrop(reason, "tags"),))


@pytest.mark.parametrize(
    ("tag", "shown"), [("env:", "env:"), ("a:b:c", "a:b:c"), (f"b:{A65}", f"b:{'a' * 62}")]
)
def test_strict_rules_refuse_the_first_bad_tag_by_name(tag: str, shown: str) -> None:
    with pytest.raises(InvalidAttribution) as caught:
        from_body("ok:yes", tag, "also bad", rules=STRICT)

    assert (caught.value.code, str(caught.value)) == (
        "invalid_tag",
        f'invalid tag "{shown}": {RULE}',
    )


def test_the_eleventh_distinct_tag_is_dropped() -> None:
    attribution = from_body(*(f"k{n}:v" for n in range(12)))

    assert attribution == Attribution(
        tags=tuple((f"k{n}", "v") for n in range(10)),
        drops=(TagDrop("too_many", "tags"),) * 2,
    )


def test_strict_rules_refuse_the_eleventh_distinct_tag_by_name() -> None:
    with pytest.raises(InvalidAttribution) as caught:
        from_body(*(f"k{n}:v" for n in range(12)), rules=STRICT)

    assert (caught.value.code, str(caught.value)) == (
        "too_many_tags",
        'too many tags: "k10:v", expected at most 10 distinct tags',
    )


def test_malformed_and_repeated_tags_do_not_count_towards_the_limit() -> None:
    attribution = from_body(*["bad", "k0:v"] * 9, *(f"k{n}:v" for n in range(10)))

    assert attribution == Attribution(
        tags=tuple((f"k{n}", "v") for n in range(10)), drops=(TagDrop("malformed", "tags"),) * 9
    )


def test_the_limit_is_the_rules_own() -> None:
    attribution = from_body("a:1", "b:2", rules=AttributionRules(max_tags=1))

    assert attribution == Attribution(tags=(("a", "1"),), drops=(TagDrop("too_many", "tags"),))


def test_a_repeated_tag_keeps_its_first_place_and_a_key_may_have_two_values() -> None:
    attribution = from_body("env:a", "team:ml", "env:b", "env:a")

    assert attribution.tags == (("env", "a"), ("team", "ml"), ("env", "b"))


@pytest.mark.parametrize("member", [5, 1.5, True, None, ["env:prod"], {"env": "prod"}])
def test_a_member_that_is_no_string_is_malformed(member: object) -> None:
    attribution = from_body(member, "env:prod")

    assert attribution == Attribution(
        tags=(("env", "prod"),), drops=(TagDrop("malformed", "tags"),)
    )


def test_a_body_string_is_read_like_a_header() -> None:
    attribution = attribute((), " env:prod ,, team:ml\n", STRICT)

    assert attribution == Attribution(tags=(("env", "prod"), ("team", "ml")))


@pytest.mark.parametrize("body_tags", [{"env": "prod"}, 5, False])
def test_body_tags_of_another_type_are_ignored_and_noted(body_tags: object) -> None:
    attribution = attribute(((b"x-tags", b"a:b"),), body_tags, LENIENT)

    assert attribution == Attribution(tags=(("a", "b"),), drops=(TagDrop("wrong_type", "tags"),))


def test_strict_rules_refuse_body_tags_of_another_type() -> None:
    with pytest.raises(InvalidAttribution) as caught:
        attribute((), {"env": "prod"}, STRICT)

    assert str(caught.value) == 'invalid tag "object": expected an array of key:value strings'


def test_a_bare_tag_gets_the_configured_key() -> None:
    rules = AttributionRules(bare_tag_key="tag")

    attribution = from_body("beta", "env:prod", "not bare", "", rules=rules)

    assert attribution == Attribution(
        tags=(("tag", "beta"), ("env", "prod")),
        drops=(TagDrop("malformed", "tags"),) * 2,
    )


def test_no_more_than_256_tags_of_a_source_are_read() -> None:
    attribution = from_body(*["a:b"] * 256, "c:d", "bad")

    assert attribution == Attribution(tags=(("a", "b"),), drops=(TagDrop("too_many", "tags"),))
