import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmeter_gateway.relay.body_edit import with_include_usage, with_member, without_member


@pytest.mark.parametrize(
    ("body", "edited"),
    [
        (b'{"a":1}', b'{"a":1}'),
        (b"{}", b"{}"),
        (b'{"tags":["a:b"]}', b"{}"),
        (b'{ "tags" : [] }', b"{  }"),
        (b'{"tags":[],"a":1}', b'{"a":1}'),
        (b'{"a":1,"tags":[]}', b'{"a":1}'),
        (b'{"a": 1, "tags": ["x"], "b": 2}', b'{"a": 1, "b": 2}'),
        (b'{\n  "tags": [],\n  "a": 1\n}\n', b'{\n  "a": 1\n}\n'),
        (b'{"a":1 ,\t"tags":null\r\n}', b'{"a":1\r\n}'),
        (b'{"tags":1,"tags":2,"a":3,"tags":4}', b'{"a":3}'),
        (b'{"tags":1,"tags":2}', b"{}"),
        (b'{"a":1,"tags":2,"tags":3,"b":4}', b'{"a":1,"b":4}'),
        (b'{"\\u0074ags":[],"a":1}', b'{"a":1}'),
        (b'{"t\\"ags":1,"tags\\\\":2}', b'{"t\\"ags":1,"tags\\\\":2}'),
        (b'{"metadata":{"tags":["x"]},"tags":[]}', b'{"metadata":{"tags":["x"]}}'),
        (b'{"tags":{"tags":[{"}":"]"}]},"a":"tags"}', b'{"a":"tags"}'),
        (b'{"a":"\\",\\"tags\\":[]","tags":"}\\\\"}', b'{"a":"\\",\\"tags\\":[]"}'),
        (b'{"tags":12,"tags":1,"a":"12"}', b'{"a":"12"}'),
        (b'{"a":12,"tags":0,"a":1}', b'{"a":12,"a":1}'),
        (b'{"a":[1,{"b":"]"}],"tags":0,"a":-1.5e3}', b'{"a":[1,{"b":"]"}],"a":-1.5e3}'),
        (b'{"a":"x","tags":0,"a":true}', b'{"a":"x","a":true}'),
        (b'\xef\xbb\xbf \r\n{"tags":0,"a":1}', b'\xef\xbb\xbf \r\n{"a":1}'),
        (b'{"\xff":1,"tags":0,"a":"\xff"}', b'{"\xff":1,"a":"\xff"}'),
        (b'{"a":"\\ud83d","tags":0,"b":"\\ude00"}', b'{"a":"\\ud83d","b":"\\ude00"}'),
        (b'{"\xff":"\\ud83d","tags":0}', b'{"\xff":"\\ud83d"}'),
        (b'["tags"]', b'["tags"]'),
    ],
)
def test_a_member_is_removed_with_its_comma_and_nothing_else(body: bytes, edited: bytes) -> None:
    assert without_member(body, "tags") == edited


@pytest.mark.parametrize("opening", [b"[", b'{"x":'])
@pytest.mark.parametrize("depth", [1, 7, 8, 9, 10, 30, 300])
def test_a_value_of_any_depth_is_crossed_even_when_its_name_is_repeated(
    opening: bytes, depth: int
) -> None:
    closing = {b"[": b"]", b'{"x":': b"}"}[opening]
    deep = b'"a":' + opening * depth + b'"]}"' + closing * depth

    edited = without_member(b"{" + deep + b',"tags":[],"a":1}', "tags")

    assert edited == b"{" + deep + b',"a":1}'


def test_a_body_nested_beyond_what_can_be_read_is_left_alone() -> None:
    body = b'{"a":' + b"[" * 5000 + b"]" * 5000 + b',"tags":[]}'

    assert without_member(body, "tags") == body


def test_a_body_of_more_than_1024_members_is_left_alone() -> None:
    body = b'{"tags":0' + b',"a":1' * 1023

    assert without_member(body + b"}", "tags") == b'{"a":1' + b',"a":1' * 1022 + b"}"
    assert without_member(body + b',"b":2}', "tags") == body + b',"b":2}'
    assert without_member(body + b',"\xff":2}', "tags") == body + b',"\xff":2}'


@pytest.mark.parametrize(
    ("body", "edited"),
    [
        (b'{"model":"a","b":1}', b'{"model":"new","b":1}'),
        (b'{ "b":1, "model" : "a" }', b'{ "b":1, "model" : "new" }'),
        (b'{"model":null,"model":"a"}', b'{"model":"new","model":"new"}'),
        (b'{"mod\\u0065l":"a"}', b'{"mod\\u0065l":"new"}'),
        (b'{"x":{"model":"a"}}', b'{"model":"new","x":{"model":"a"}}'),
        (b'{ "b":1}', b'{"model":"new", "b":1}'),
        (b" { } ", b' {"model":"new" } '),
        (b"[1]", b"[1]"),
    ],
)
def test_a_member_is_replaced_where_it_stands_or_put_in_front(body: bytes, edited: bytes) -> None:
    assert with_member(body, "model", b'"new"') == edited


@pytest.mark.parametrize(
    ("body", "edited"),
    [
        (b'{"stream":true}', b'{"stream_options":{"include_usage":true},"stream":true}'),
        (b'{"stream_options":null}', b'{"stream_options":{"include_usage":true}}'),
        (b'{"stream_options":[1] }', b'{"stream_options":{"include_usage":true} }'),
        (b'{"stream_options": {}}', b'{"stream_options": {"include_usage":true}}'),
        (
            b'{"stream_options":{ "include_obfuscation":false}}',
            b'{"stream_options":{"include_usage":true, "include_obfuscation":false}}',
        ),
        (
            b'{"stream_options":{"include_usage": false,"x":{"include_usage":0}},"a":1}',
            b'{"stream_options":{"include_usage": true,"x":{"include_usage":0}},"a":1}',
        ),
        (
            b'{"stream_options":{"include_usage":true}}',
            b'{"stream_options":{"include_usage":true}}',
        ),
        (
            b'{"x":{"stream_options":{}},"stream_options":0}',
            b'{"x":{"stream_options":{}},"stream_options":{"include_usage":true}}',
        ),
    ],
)
def test_usage_is_asked_for_with_the_smallest_change(body: bytes, edited: bytes) -> None:
    assert with_include_usage(body) == edited


BLANKS = st.text(" \t\n\r", max_size=2)
NAMES = st.sampled_from(["tags", "stream_options", "a", 'q"', "\\", "é{", "tags2", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('"\\{}[]:, tagsé\n', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@st.composite
def written_strings(draw: st.DrawFn, strings: st.SearchStrategy[str] = NAMES) -> str:
    """Write a string with any character escaped or not."""
    text = draw(strings)
    escaped = [
        f"\\u{ord(each):04x}" if draw(st.booleans()) else json.dumps(each)[1:-1] for each in text
    ]
    return f'"{"".join(escaped)}"'


@st.composite
def written_members(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Write an object's members as (`"name" :`, value) texts with random blanks and duplicates."""
    indent = draw(st.sampled_from([None, 0, 1]))
    members = []
    for _ in range(draw(st.integers(0, 6))):
        name = draw(written_strings()) + draw(BLANKS) + ":" + draw(BLANKS)
        members.append(
            (name, json.dumps(draw(VALUES), indent=indent, ensure_ascii=draw(st.booleans())))
        )
    return members


def names(members: list[tuple[str, str]]) -> list[str]:
    return [json.loads(name.rstrip(": \t\n\r")) for name, _ in members]


def written(members: list[tuple[str, str]], blank: str) -> bytes:
    inner = f"{blank},{blank}".join(name + value for name, value in members)
    return f"{blank}{{{blank}{inner}{blank}}}{blank}".encode()


@given(written_members(), BLANKS)
def test_removing_takes_the_named_members_and_no_other_byte(
    members: list[tuple[str, str]], blank: str
) -> None:
    body = written(members, blank)

    edited = without_member(body, "tags")

    kept = [each for each, name in zip(members, names(members), strict=True) if name != "tags"]
    assert edited == written(kept, blank)


@given(written_members(), BLANKS)
def test_setting_changes_the_named_values_and_no_other_byte(
    members: list[tuple[str, str]], blank: str
) -> None:
    body = written(members, blank)

    edited = with_member(body, "tags", b"[0]")

    expected = [
        (text, "[0]" if name == "tags" else value)
        for (text, value), name in zip(members, names(members), strict=True)
    ]
    front = b'{"tags":[0],' if members else b'{"tags":[0]'
    opening = b"{" if "tags" in names(members) else front
    assert edited == written(expected, blank).replace(b"{", opening, 1)


@given(written_members(), BLANKS)
def test_asking_for_usage_changes_only_that_option(
    members: list[tuple[str, str]], blank: str
) -> None:
    body = written(members, blank)

    before, after = json.loads(body), json.loads(with_include_usage(body))

    options = before.get("stream_options")
    asked = {**options} if isinstance(options, dict) else {}
    assert after == {**before, "stream_options": {**asked, "include_usage": True}}
