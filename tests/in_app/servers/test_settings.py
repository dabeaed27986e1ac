"""Environment variables become settings; a wrong one is named, and the others count."""

import pytest

from spanmeter.settings import DESCRIBED, Settings, read

SECRET = "CANARY-5d2f"


def test_every_variable_is_read() -> None:
    said, problems = read(
        {
            "SPANMETER_GATEWAY": "http://gateway:8080, gateway.internal",
            "SPANMETER_SERVICES": "*.internal",
            "SPANMETER_FEATURE": "caf\xe9 chat",
            "SPANMETER_TASK": "answer",
            "SPANMETER_TAGS": "env:prod, team:ml,env:test,",
            "SPANMETER_DIRECT": "True",
            "SPANMETER_BAGGAGE": "true",
        }
    )

    assert said == Settings(
        gateway=("http://gateway:8080", "gateway.internal"),
        services=("*.internal",),
        feature="caf\xe9 chat",
        task="answer",
        tags={"env": "test", "team": "ml"},
        direct=True,
        baggage=True,
    )
    assert problems == []


@pytest.mark.parametrize("text", [None, "", "  "])
def test_an_empty_variable_is_as_none(text: str | None) -> None:
    environ = {} if text is None else dict.fromkeys(DESCRIBED, text)

    assert read(environ) == (Settings(), [])


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("SPANMETER_GATEWAY", "http://gateway:many"),
        ("SPANMETER_GATEWAY", "gateway/v1"),
        ("SPANMETER_SERVICES", "ftp://files"),
        ("SPANMETER_FEATURE", "untagged"),
        ("SPANMETER_FEATURE", "two\nlines"),
        ("SPANMETER_TASK", "a" * 101),
        ("SPANMETER_TAGS", "env"),
        ("SPANMETER_TAGS", "env:prod,team:"),
        ("SPANMETER_TAGS", "env=prod"),
        ("SPANMETER_TAGS", ",".join(f"t{number}:v" for number in range(11))),
        ("SPANMETER_DIRECT", "perhaps"),
        ("SPANMETER_BAGGAGE", "1"),
    ],
)
def test_a_wrong_variable_is_named_in_a_line_and_the_others_count(variable: str, text: str) -> None:
    right = dict.fromkeys(DESCRIBED, "right")
    right |= {
        "SPANMETER_TAGS": "side:right",
        "SPANMETER_DIRECT": "true",
        "SPANMETER_BAGGAGE": "true",
    }
    expected, _ = read({name: value for name, value in right.items() if name != variable})

    said, problems = read(right | {variable: text})

    assert said == expected
    assert [str(problem).splitlines()[0][: len(variable)] for problem in problems] == [variable]
    assert len(str(problems[0]).splitlines()) == 1
    assert "expected" in str(problems[0]) or "counted as" in str(problems[0])


def test_an_address_that_is_refused_is_not_quoted() -> None:
    _, problems = read({"SPANMETER_GATEWAY": f"http://user:{SECRET}@gateway:8080"})

    assert len(problems) == 1
    assert SECRET not in str(problems[0])
