"""The `spanmeter` command as an operator runs it: in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ENVIRON = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("SPANMETER_", "OTEL_"))
}


def spanmeter(
    *arguments: str, folder: Path, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "spanmeter_gateway.cli", *arguments],
        cwd=folder,
        env={**ENVIRON, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_check_shows_upstreams_and_addresses_of_a_valid_file(tmp_path: Path) -> None:
    (tmp_path / "spanmeter.yaml").write_text(
        "listen: '[::1]:8081'\n"
        "workers: 2\n"
        "well_known_upstreams: false\n"
        "upstreams: {house: {base_url: 'http://llm:8000'}, ollama: {}}\n"
    )

    ended = spanmeter("check", folder=tmp_path)

    assert [line.rstrip() for line in ended.stdout.splitlines()] == [
        "spanmeter.yaml: valid",
        "",
        "upstream         provider  base URL                credential",
        "house (default)  house     http://llm:8000         passthrough",
        "ollama           ollama    http://127.0.0.1:11434  passthrough",
        "",
        "relay http://[::1]:8081 (2 workers), books http://127.0.0.1:9464, data in spanmeter-data",
    ]
    assert (ended.returncode, ended.stderr) == (0, "")


def test_check_tells_all_mistakes_on_stderr_and_exits_with_2(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("{lisen: a, workers: 0}")

    ended = spanmeter("check", "--config", "other.yaml", folder=tmp_path)

    assert ended.stderr.splitlines() == [
        "other.yaml: workers: must be auto or a whole number from 1 to 256",
        "other.yaml: lisen: unknown key; did you mean listen?",
    ]
    assert (ended.returncode, ended.stdout) == (2, "")


def test_check_warns_of_what_serve_would_warn_of(tmp_path: Path) -> None:
    (tmp_path / "spanmeter.yaml").write_text(
        "{listen: '0.0.0.0:8080', workers: 1, well_known_upstreams: false, "
        "upstreams: {openai: {credential: env:HELD}}}"
    )
    environ = {
        "HELD": "canary",
        "OTEL_METRICS_EXEMPLAR_FILTER": "some",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "sideways",
    }

    ended = spanmeter("check", folder=tmp_path, environ=environ)

    assert ended.stdout.splitlines()[-4:] == [
        "relay http://0.0.0.0:8080 (1 workers), books http://127.0.0.1:9464, data in "
        "spanmeter-data",
        "warning: 0.0.0.0 is open to the network: whoever reaches this port can use the "
        "credentials of openai.",
        "warning: OTEL_METRICS_EXEMPLAR_FILTER is none of always_off, always_on, trace_based: some",
        "warning: OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: 'sideways' is not known; "
        "metrics are cumulative",
    ]
    assert (ended.returncode, ended.stderr) == (0, "")


def test_every_command_is_told_in_one_whole_line(tmp_path: Path) -> None:
    ended = spanmeter("--help", folder=tmp_path, environ={"COLUMNS": "80"})

    assert "..." not in ended.stdout.partition("\n")[2]
    assert "Try it: a pretend provider, live traffic, the table." in ended.stdout


def test_check_needs_no_file(tmp_path: Path) -> None:
    ended = spanmeter("check", folder=tmp_path)

    assert (ended.returncode, ended.stdout.splitlines()[0]) == (0, "defaults: valid")


def test_serve_refuses_a_wrong_file_before_it_touches_anything(tmp_path: Path) -> None:
    (tmp_path / "spanmeter.yaml").write_text("listen: nowhere")

    ended = spanmeter("serve", folder=tmp_path)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert [path.name for path in tmp_path.iterdir()] == ["spanmeter.yaml"]


def test_the_version_is_the_distributions(tmp_path: Path) -> None:
    ended = spanmeter("--version", folder=tmp_path)

    assert (ended.returncode, ended.stdout) == (0, "spanmeter 0.1.0\n")


@pytest.mark.parametrize("options", [[], ["--once"], ["--json"]])
def test_top_says_what_to_do_when_nothing_listens(tmp_path: Path, options: list[str]) -> None:
    ended = spanmeter("top", "--url", "http://127.0.0.1:1", *options, folder=tmp_path)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "spanmeter: no metrics at http://127.0.0.1:1/metrics: [Errno 111] Connection refused. Is "
        "`spanmeter serve` running? Its books listen on the address books.listen; give it as "
        "--url, or their file as --config\n"
    )


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [
        (["--config", "mine.yaml"], {}),
        ([], {"SPANMETER_CONFIG": "mine.yaml"}),
        ([], {"SPANMETER_BOOKS_LISTEN": "0.0.0.0:1"}),
    ],
)
def test_top_finds_the_books_where_the_configuration_says(
    tmp_path: Path, arguments: list[str], environ: dict[str, str]
) -> None:
    # What `serve` needs and a terminal lacks is no concern of a table.
    (tmp_path / "mine.yaml").write_text(
        "{books: {listen: '127.0.0.1:1'}, upstreams: {openai: {credential: env:NOT_SET}}}"
    )

    ended = spanmeter("top", "--once", *arguments, folder=tmp_path, environ=environ)

    assert "no metrics at http://127.0.0.1:1/metrics: " in ended.stderr


def test_top_refuses_an_address_of_the_books_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "spanmeter.yaml").write_text("{workers: 0, books: {listen: 9464}}")

    ended = spanmeter("top", folder=tmp_path)

    assert (ended.returncode, ended.stderr) == (
        2,
        "spanmeter.yaml: books.listen: must be host:port, such as 127.0.0.1:9464\n",
    )
