"""Where a secret is named, where it was pasted instead, and what is no text at all."""

from pathlib import Path

import pytest

from spanmeter_gateway.config import Config
from spanmeter_gateway.config_file import BooksAccess, load, load_books
from spanmeter_gateway.errors import ConfigError
from spanmeter_gateway.upstreams.upstream import Credential

FILE = Path("spanmeter.yaml")
NO_SECRET = "must be env:NAME or file:PATH; a key itself never stands in this file"
BOOKS_URL = "http://127.0.0.1:9464"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(text: str) -> Path:
    FILE.write_text(text)
    return FILE


def refusal(text: str, environ: dict[str, str] | None = None) -> list[str]:
    """Load a text that must be refused; the lines of the refusal."""
    with pytest.raises(ConfigError) as refused:
        load(written(text), environ or {})
    return str(refused.value).splitlines()


@pytest.mark.parametrize(
    ("text", "environ", "named"),
    [
        ("env:BOOKS", {"BOOKS": "canary"}, Credential("env", "BOOKS")),
        ("{env: BOOKS}", {"BOOKS": " canary\n"}, Credential("env", "BOOKS")),
        ("file:token", {}, Credential("file", "token")),
        ("{file: ./token}", {}, Credential("file", "./token")),
    ],
)
def test_the_books_token_is_named_and_read_only_by_who_asks_for_it(
    folder: Path, text: str, environ: dict[str, str], named: Credential
) -> None:
    (folder / "token").write_text("canary\n")
    path = written(f"books:\n  token: {text}")

    config = load(path, environ)

    assert config.books_token == named
    assert config.books_secrets == (named,)
    assert "canary" not in config.to_json()
    assert Config.from_json(config.to_json()) == config
    assert load_books(path, environ) == BooksAccess(BOOKS_URL, "canary")


def test_without_a_books_token_there_is_none() -> None:
    path = written("books: {listen: '127.0.0.1:9464'}")

    assert load(path, {}).books_token is None
    assert load_books(path, {}) == BooksAccess(BOOKS_URL, None)


TOKENS_REFUSED = {
    "env:BOOKS": "the environment variable BOOKS is not set",
    "env:EMPTY": "the environment variable EMPTY is not set",
    "env:canary": "the environment variable that it names is not set",
    "env:TWO_LINES": "the environment variable TWO_LINES must be one line of visible ASCII "
    "characters",
    "file:./empty": "./empty is empty",
    "file:empty": "the file that it names is empty",
    "file:./none": "cannot read ./none: No such file or directory",
    "file:canary": "cannot read the file that it names: No such file or directory",
    "file:./": "cannot read ./: Is a directory",
    "canary-pasted": NO_SECRET,
    "passthrough": NO_SECRET,
    "'env:'": NO_SECRET,
    "'canary: pasted'": NO_SECRET,
    "{env: A, file: b}": NO_SECRET,
    "[canary]": NO_SECRET,
    "12345": NO_SECRET,
    "''": NO_SECRET,
}


@pytest.mark.parametrize(("text", "problem"), TOKENS_REFUSED.items())
def test_a_books_token_that_cannot_be_had_is_refused_without_repeating_it(
    folder: Path, text: str, problem: str
) -> None:
    (folder / "empty").write_text(" \n")
    environ = {"EMPTY": "  ", "TWO_LINES": "canary\ncanary"}

    found = refusal(f"books:\n  token: {text}\n", environ)
    with pytest.raises(ConfigError) as refused:
        load_books(FILE, environ)

    assert found == [f"spanmeter.yaml: books.token: {problem}"]
    assert str(refused.value).splitlines() == found
    assert "canary" not in str(refused.value)


PASTED = {
    "upstreams: {openai: {credential: &a canary-1}, groq: {credential: *a}}\n"
    "gateway_keys: {team: *a}\nbooks: {token: *a}": [
        "upstreams.openai.credential",
        "upstreams.groq.credential",
        "books.token",
        "gateway_keys.team",
    ],
    "gateway_keys: {team: *canary}": ["line 1, column 22"],
    "gateway_keys: {team: !canary x}": ["line 1, column 22"],
    "gateway_keys: {team: !canary!x x}": ["line 1, column 22"],
    "gateway_keys: {team: !<tag:canary> x}": ["line 1, column 22"],
}


@pytest.mark.parametrize(("text", "places"), PASTED.items())
def test_a_pasted_secret_is_not_repeated_however_yaml_takes_it(
    text: str, places: list[str]
) -> None:
    found = refusal(text)

    assert {line.split(": ")[1] for line in found} == set(places)
    assert [line for line in found if "canary" in line] == []


@pytest.mark.parametrize("character", ["\\0", "\\uD83D"])
@pytest.mark.parametrize(
    "text",
    [
        'data_dir: "a%"',
        'upstreams: {openai: {ca_file: "a%"}}',
        'upstreams: {openai: {credential: "file:a%"}}',
        'gateway_keys: {team: {file: "a%"}}',
        'books: {token: "env:a%"}',
        'tls: {cert_file: "a%", key_file: b}',
        'tags: {labels: ["a%"]}',
        '"a%": 1',
    ],
)
def test_what_no_path_and_no_header_can_hold_is_refused_with_its_line(
    text: str, character: str
) -> None:
    found = refusal("workers: 1\n" + text.replace("%", character))

    assert found == ["spanmeter.yaml: line 2: a text holds a character that no text may hold"]
