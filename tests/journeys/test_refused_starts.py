"""What must be changed before the gateway starts is said in one line, and nothing is started."""

import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from tests import processes
from tests.gateway_process import GatewayProcess

PATIENCE_S = 60
UNWRITABLE = "the gateway keeps its receipts there and needs a folder of its own"
IN_USE = "is in use by another program; stop it, or choose another port in the configuration"


class Refusal(NamedTuple):
    """How a start ended."""

    status: int
    errors: list[str]


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayProcess]:
    with GatewayProcess() as running:
        yield running


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    """Return what a gateway could start with beside any other."""
    return {
        "listen": free_address(),
        "books": {"listen": free_address()},
        "data_dir": str(tmp_path / "data"),
    }


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"127.0.0.1:{probe.getsockname()[1]}"


def address(url: str) -> str:
    return url.removeprefix("http://")


def serve(
    config: dict[str, Any], folder: Path, *, before: Callable[[], None] | None = None
) -> Refusal:
    """Try to start a gateway that will be refused; `before` runs in its process first."""
    file = folder / "spanmeter.yaml"
    file.write_text(yaml.safe_dump(config))
    ended = subprocess.run(
        [sys.executable, "-m", "spanmeter_gateway.cli", "serve", "--config", str(file)],
        cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, preexec_fn=before,
        check=False,
    )  # fmt: skip
    return Refusal(ended.returncode, ended.stderr.splitlines())


def forbid_writing() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def test_a_second_gateway_on_one_folder_is_refused_and_the_first_goes_on(
    gateway: GatewayProcess, config: dict[str, Any], tmp_path: Path
) -> None:
    refusal = serve(config | {"data_dir": str(gateway.data_dir)}, tmp_path)

    assert refusal == Refusal(
        1,
        [
            f"spanmeter: data_dir: {gateway.data_dir} is in use by another gateway; stop it, "
            "take its place with `spanmeter serve --take-over`, or give this one a data_dir of "
            "its own"
        ],
    )
    assert processes.is_answering(f"{gateway.url}/readyz")
    assert processes.is_answering(f"{gateway.books_url}/healthz")


def test_a_relay_port_in_use_is_named(
    gateway: GatewayProcess, config: dict[str, Any], tmp_path: Path
) -> None:
    taken = address(gateway.url)

    refusal = serve(config | {"listen": taken}, tmp_path)

    assert refusal == Refusal(1, [f"spanmeter: listen: {taken} {IN_USE}"])


def test_a_books_port_in_use_is_named(
    gateway: GatewayProcess, config: dict[str, Any], tmp_path: Path
) -> None:
    taken = address(gateway.books_url)

    refusal = serve(config | {"books": {"listen": taken}}, tmp_path)

    assert refusal == Refusal(1, [f"spanmeter: books.listen: {taken} {IN_USE}"])


def test_a_folder_that_cannot_be_made_is_named(config: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = str(tmp_path / "file" / "data")

    refusal = serve(config | {"data_dir": folder}, tmp_path)

    reason = f"cannot write to {folder}: Not a directory; {UNWRITABLE}"
    assert refusal == Refusal(1, [f"spanmeter: data_dir: {reason}"])


def test_a_folder_on_a_disk_that_refuses_is_named(config: dict[str, Any], tmp_path: Path) -> None:
    refusal = serve(config, tmp_path, before=forbid_writing)

    reason = f"cannot write to {config['data_dir']}: File too large; {UNWRITABLE}"
    assert refusal == Refusal(1, [f"spanmeter: data_dir: {reason}"])


def test_two_gateway_keys_with_one_secret_are_refused_by_the_relay_in_one_line(
    config: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "one").write_text("canary\n")
    (tmp_path / "other").write_text("canary")
    keys = {"team": "file:one", "batch": "file:other"}

    refusal = serve(config | {"workers": 1, "gateway_keys": keys}, tmp_path)

    why = "gateway_keys: batch and team have the same secret; each needs its own"
    told = [line.split(" ", 2)[2] for line in refusal.errors]
    assert refusal.status == 1
    assert [line for line in told if "relay: " in line] == [
        f"ERROR spanmeter.relay: cannot start: {why}"
    ] * 5
    assert "canary" not in "".join(told)


def test_a_wrong_configuration_names_file_and_key_and_starts_nothing(
    config: dict[str, Any], tmp_path: Path
) -> None:
    refusal = serve(config | {"workers": 0, "spool": {"max_byte": 1}}, tmp_path)

    file = tmp_path / "spanmeter.yaml"
    assert refusal.status == 2
    assert [line.rpartition(": ")[0] for line in refusal.errors] == [
        f"{file}: workers",
        f"{file}: spool.max_byte",
    ]
    assert not Path(config["data_dir"]).exists()
