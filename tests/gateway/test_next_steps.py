import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from spanmeter_gateway import next_steps
from spanmeter_gateway.config import Config, GatewayKey
from spanmeter_gateway.upstreams.upstream import Credential, Upstream

HELD = Upstream(
    name="openai",
    provider="openai",
    base_url="https://api.openai.com",
    credential=Credential("env", "OPENAI_API_KEY"),
)

KEYS = (GatewayKey("team", Credential("env", "TEAM_KEY")),)


@pytest.fixture(autouse=True)
def in_a_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.argv", [str(Path.cwd() / ".venv/bin/spanmeter")])


def said(config: Config) -> str:
    text = io.StringIO()
    next_steps.say(Console(file=text, width=160), config)
    return "\n".join(line.strip() for line in text.getvalue().splitlines())


def test_the_next_steps_are_what_to_change_and_where_to_look() -> None:
    assert said(Config()) == (
        "\n"
        "Spanmeter is ready.\n"
        "\n"
        "OpenAI SDK         OPENAI_BASE_URL=http://127.0.0.1:8080/v1\n"
        "Anthropic SDK      ANTHROPIC_BASE_URL=http://127.0.0.1:8080\n"
        "name the feature   X-Feature: checkout-assistant\n"
        "metrics            http://127.0.0.1:9464/metrics\n"
        "live table         .venv/bin/spanmeter top\n"
        "\n"
        "curl http://127.0.0.1:8080/v1/chat/completions \\\n"
        '-H "Authorization: Bearer $OPENAI_API_KEY" -H "Content-Type: application/json" \\\n'
        '-H "X-Feature: hello" \\\n'
        '-d \'{"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "Hello"}]}\'\n'
    )


def test_the_command_can_be_copied() -> None:
    text = io.StringIO()

    next_steps.say(Console(file=text, width=160), Config())

    assert text.getvalue().count("\\\n") == 3


def test_the_first_call_shows_a_key_where_one_is_needed() -> None:
    text = said(Config(gateway_keys=KEYS))

    assert '-H "X-Feature: hello" \\\n-H "X-Gateway-Key: $GATEWAY_KEY" \\\n-d ' in text


def test_another_address_of_the_books_is_given_to_top() -> None:
    assert ".venv/bin/spanmeter top --url http://127.0.0.1:9999" in said(Config(books_port=9999))


def test_a_held_credential_on_an_open_port_is_warned_of() -> None:
    config = Config(listen_host="0.0.0.0", upstreams=(HELD,))

    assert next_steps.open_credentials(config) == (
        "0.0.0.0 is open to the network: whoever reaches this port can use the credentials of "
        "openai."
    )


@pytest.mark.parametrize(
    "config",
    [
        Config(upstreams=(HELD,)),
        Config(listen_host="0.0.0.0", upstreams=(replace(HELD, credential=Credential()),)),
        Config(listen_host="0.0.0.0", upstreams=(HELD,), gateway_keys=KEYS),
    ],
)
def test_nothing_is_warned_of_without_both(config: Config) -> None:
    assert next_steps.open_credentials(config) is None


def test_a_program_on_the_path_is_called_by_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "spanmeter"
    program.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert "live table         spanmeter top\n" in said(Config())


@pytest.mark.parametrize(
    ("host", "token", "is_warned"),
    [
        ("127.0.0.1", None, False),
        ("127.0.0.7", None, False),
        ("::1", None, False),
        ("localhost", None, False),
        ("0.0.0.0", None, True),
        ("::", None, True),
        ("192.0.2.1", None, True),
        ("metrics.example.com", None, True),
        ("0.0.0.0", Credential("env", "TOKEN"), False),
    ],
)
def test_metrics_open_to_the_network_are_warned_of(
    host: str, token: Credential | None, *, is_warned: bool
) -> None:
    warnings = next_steps.warnings(Config(books_host=host, books_token=token))

    assert [line.startswith(f"books.listen: {host} is open") for line in warnings] == [
        True
    ] * is_warned
