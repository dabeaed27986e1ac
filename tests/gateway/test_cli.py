"""The `spanmeter` command as an operator runs it: in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("SPANMETER_")}


def spanmeter(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "spanmeter_gateway.cli", *arguments],
        cwd=folder,
        env=ENVIRON,
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
        "--url\n"
    )
