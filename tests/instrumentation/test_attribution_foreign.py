import pytest

from spanmeter.attribution import AttributionRules, TagDrop, attribute
from spanmeter.errors import InvalidAttribution
from spanmeter.grammar import Attribution

STRICT = AttributionRules(strict=True)


def read(*headers: tuple[str, str], rules: AttributionRules | None = None) -> Attribution:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return attribute(raw, None, rules or AttributionRules())


def test_helicone_properties_become_tags() -> None:
    attribution = read(
        ("helicone-property-environment", "staging"), ("helicone-property-version", "v2.1.0")
    )

    assert attribution == Attribution(tags=(("environment", "staging"), ("version", "v2.1.0")))


def test_portkey_metadata_becomes_tags_and_the_feature() -> None:
    metadata = '{"_user": "user-123", "environment": "prod", "feature": "chat assist", "id": "4"}'

    attribution = read(("x-portkey-metadata", metadata))

    assert attribution == Attribution(
        feature="chat assist",
        tags=(("user", "user-123"), ("environment", "prod"), ("id", "4")),
        drops=(TagDrop("normalised", "x-portkey-metadata"),),
    )


def test_cloudflare_numbers_and_booleans_become_text_and_the_rest_is_of_the_wrong_type() -> None:
    metadata = '{"team":"AI","user":12345,"rate":1.5,"test":true,"x":null,"y":{"a":1},"z":["b"]}'

    attribution = read(("cf-aig-metadata", metadata))

    assert attribution == Attribution(
        tags=(("team", "AI"), ("user", "12345"), ("rate", "1.5"), ("test", "true")),
        drops=(TagDrop("wrong_type", "cf-aig-metadata"),) * 3,
    )


def test_bifrost_dimensions_become_tags() -> None:
    attribution = read(("x-bf-dim-team", "engineering"), ("x-bf-dim-customer_id", "c1"))

    assert attribution == Attribution(tags=(("team", "engineering"), ("customer_id", "c1")))


@pytest.mark.parametrize(
    ("metadata", "tag"),
    [
        ('{"User Tier": "Very High!"}', ("user-tier", "Very-High")),
        ('{"User Tier": "ok"}', ("user-tier", "ok")),
        ('{"UserTier": "a b"}', ("UserTier", "a-b")),
        ('{"k": "\\"mobile\\""}', ("k", "mobile")),
        ('{"k": "a:b"}', ("k", "a-b")),
        ('{"k": "café au lait"}', ("k", "caf--au-lait")),
        ('{"k": "%s"}' % ("v" * 65), ("k", "v" * 64)),
        ('{"k": "%s-tail"}' % ("v" * 63), ("k", "v" * 63)),
        ('{"k": "%s"}' % ("-" * 100 + "v" * 70), ("k", "v" * 64)),
        ('{"k": -5}', ("k", "5")),
    ],
)
def test_a_foreign_tag_outside_the_grammar_is_normalised_and_noted(
    metadata: str, tag: tuple[str, str]
) -> None:
    attribution = read(("x-portkey-metadata", metadata), rules=STRICT)

    assert attribution.tags == (tag,)
    assert [reason for reason, _ in attribution.drops] == ["normalised"]


def test_a_foreign_tag_within_the_grammar_is_not_altered() -> None:
    attribution = read(("cf-aig-metadata", '{"UserTier": " Gold "}'))

    assert attribution == Attribution(tags=(("UserTier", "Gold"),))


@pytest.mark.parametrize(
    ("name", "value", "source"),
    [
        ("helicone-property-plan", "", "helicone-property-*"),
        ("helicone-property-plan", "日本", "helicone-property-*"),
        ("helicone-property-", "v", "helicone-property-*"),
        ("x-bf-dim-feature", " ", "x-bf-dim-*"),
        ("x-portkey-metadata", '{"": "v"}', "x-portkey-metadata"),
        ("x-portkey-metadata", "not json", "x-portkey-metadata"),
        ("cf-aig-metadata", '{"k": "\\ud800"}', "cf-aig-metadata"),
        ("cf-aig-metadata", '{"k":' + "[" * 5000, "cf-aig-metadata"),
    ],
)
def test_a_foreign_entry_with_nothing_to_keep_is_malformed(
    name: str, value: str, source: str
) -> None:
    assert read((name, value)) == Attribution(drops=(TagDrop("malformed", source),))


def test_metadata_that_is_no_object_is_of_the_wrong_type() -> None:
    attribution = read(("x-portkey-metadata", '["a:b"]'))

    assert attribution == Attribution(drops=(TagDrop("wrong_type", "x-portkey-metadata"),))


def test_empty_metadata_says_nothing() -> None:
    assert read(("x-portkey-metadata", " "), ("cf-aig-metadata", "{}")) == Attribution()


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ("[]", 'invalid tag "x-portkey-metadata: []": expected a JSON object'),
        ("{", 'invalid tag "x-portkey-metadata: {": expected a JSON object'),
        (
            '{"a": {"b": "secret"}}',
            'invalid tag "a:object": expected a string, a number or a boolean',
        ),
    ],
)
def test_strict_rules_refuse_metadata_that_cannot_be_tags(metadata: str, message: str) -> None:
    with pytest.raises(InvalidAttribution) as caught:
        read(("x-portkey-metadata", metadata), rules=STRICT)

    assert (caught.value.code, str(caught.value)) == ("invalid_tag", message)


def test_a_foreign_feature_and_task_are_taken_as_sent_when_no_native_header_gave_one() -> None:
    attribution = read(
        ("helicone-property-feature", "Customer Support"),
        ("x-portkey-metadata", '{"Task": "extraction", "FEATURE": "second"}'),
    )

    assert attribution == Attribution(
        feature="Customer Support", task="extraction", tags=(("FEATURE", "second"),)
    )


def test_a_foreign_feature_and_task_beside_native_ones_are_tags() -> None:
    attribution = read(
        ("helicone-property-feature", "foreign"),
        ("x-bf-dim-task", "foreign"),
        ("x-feature", "native"),
        ("x-task", "native"),
    )

    assert attribution == Attribution(
        feature="native", task="native", tags=(("feature", "foreign"), ("task", "foreign"))
    )


def test_foreign_tags_share_the_limit_and_are_deduplicated_after_normalising() -> None:
    attribution = read(
        ("x-tags", ",".join(f"k{n}:v" for n in range(9))),
        ("helicone-property-team", "a b"),
        ("x-bf-dim-team", "a-b"),
        ("x-bf-dim-last", "v"),
    )

    assert attribution.tags[9:] == (("team", "a-b"),)
    assert attribution.drops == (
        TagDrop("normalised", "helicone-property-*"),
        TagDrop("too_many", "x-bf-dim-*"),
    )


def test_no_more_than_256_members_of_metadata_are_read() -> None:
    members = ",".join(f'"k{n}":null' for n in range(300))

    drops = read(("cf-aig-metadata", f"{{{members}}}")).drops

    assert (len(drops), drops[-1]) == (257, TagDrop("too_many", "cf-aig-metadata"))


@pytest.mark.parametrize(
    ("baggage", "attribution"),
    [
        ("spanmeter.feature=chat", Attribution(feature="chat")),
        ("spanmeter.task=extraction", Attribution(task="extraction")),
        ("spanmeter.tag.env=prod", Attribution(tags=(("env", "prod"),))),
        (
            "other=1, spanmeter.tag.env = prod ;ttl=5;x , spanmeter.feature\t=\tchat",
            Attribution(feature="chat", tags=(("env", "prod"),)),
        ),
        ("spanmeter.feature=a%20b%2C%3B%3D%25%C3%A9", Attribution(feature="a b,;=%é")),
        ("spanmeter.feature=a+b", Attribution(feature="a+b")),
        ("spanmeter.feature=a=b", Attribution(feature="a=b")),
        ("spanmeter.feature=a%FFb", Attribution(feature="a\ufffdb")),
        ("spanmeter.feature=a%0Ab%", Attribution(feature="ab%")),
        ("spanmeter.feature=,spanmeter.feature=b,spanmeter.feature=c", Attribution(feature="b")),
        ("spanmeter.tag.k=a,spanmeter.tag.k=b", Attribution(tags=(("k", "a"), ("k", "b")))),
        ("spanmeter.color=red,spanmeter.=x,spanmeter.features=x", Attribution()),
        ("xspanmeter.feature=no, Spanmeter.feature=no", Attribution()),
        (",;=", Attribution()),
        (
            "spanmeter.tag.team=ml%20platform,spanmeter.tag.=x,spanmeter.tag.k",
            Attribution(
                drops=(TagDrop("malformed", "baggage"),) * 3,
            ),
        ),
    ],
)
def test_our_members_of_w3c_baggage_are_read(baggage: str, attribution: Attribution) -> None:
    assert read(("baggage", baggage)) == attribution


def test_several_baggage_headers_are_one_list() -> None:
    attribution = read(("baggage", "spanmeter.feature=a"), ("baggage", "spanmeter.task=b"))

    assert attribution == Attribution(feature="a", task="b")


def test_baggage_gives_way_to_headers() -> None:
    attribution = read(
        ("baggage", "spanmeter.feature=a,spanmeter.task=b"),
        ("x-bf-dim-task", "header"),
        ("x-feature", "header"),
    )

    assert attribution == Attribution(feature="header", task="header")


def test_what_was_dropped_is_told_by_where_it_stood_and_never_by_what_it_said() -> None:
    names = ["x-tags", "x-litellm-tags", "helicone-property-", "x-bf-dim-", "x-portkey-metadata"]
    headers = [(name.encode(), b"sk-secret key") for name in names]
    baggage = (b"baggage", b"spanmeter.tag.k=sk-secret%20key")

    attribution = attribute([*headers, baggage], ["sk-secret key"], AttributionRules())

    assert [source for _, source in attribution.drops] == [
        *("x-tags", "x-litellm-tags", "helicone-property-*", "x-bf-dim-*", "x-portkey-metadata"),
        *("tags", "baggage"),
    ]
