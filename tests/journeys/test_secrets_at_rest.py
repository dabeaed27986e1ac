"""What a gateway leaves on disk, hands to its children and says when it crashes holds no secret."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests import processes
from tests.fakes.otlp_sink import OtlpSink
from tests.fakes.raw_client import RawClient
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess

SECRETS = {
    "HELD": "sk-canary-held",
    "TEAM": "canary-gateway-key",
    "BOOKS_TOKEN": "canary-books-token",
}
CRASH = """
import logging, sys, threading
from spanmeter_gateway.privacy import begin_process
begin_process(logging.WARNING)
secret = "sk-canary-local"
def fail(key):
    try:
        int(key)
    except ValueError as error:
        raise RuntimeError(f"no number: {key}") from error
def log(key):
    try:
        fail(key)
    except RuntimeError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
class Odd:
    def __del__(self):
        fail(secret)
log(secret)
logging.getLogger("asyncio").error("Fatal error\\nprotocol: %s", secret)
thread = threading.Thread(target=fail, args=(secret,))
thread.start()
thread.join()
Odd()
fail(secret)
"""


@pytest.fixture(scope="module")
def gateway(provider: ReplayProvider, sink: OtlpSink) -> Iterator[GatewayProcess]:
    here = {"provider": "openai", "base_url": provider.base_url}
    running = GatewayProcess(
        upstreams={"openai": here, "held": here | {"credential": "env:HELD"}},
        settings={"gateway_keys": {"team": "env:TEAM"}},
        environ={
            **sink.environ,
            **SECRETS,
            "OTEL_METRIC_EXPORT_INTERVAL": "200",
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
        },
    )
    running.config["books"]["token"] = "env:BOOKS_TOKEN"
    with running:
        with RawClient(running.url) as client:
            headers = [("x-gateway-key", SECRETS["TEAM"]), ("x-script", "chat")]
            client.call("/held/v1/chat/completions", b'{"model":"m"}', headers=headers)
        sink.wait(lambda spans: len(spans) >= 2)
        processes.wait_until((running.data_dir / "otlp-deltas.json").exists)
        yield running


def modes(folder: Path) -> dict[str, str]:
    found = [folder, *folder.rglob("*")]
    return {
        str(each.relative_to(folder)): stat.filemode(each.stat().st_mode)
        for each in found
        if each.exists()
    }


def test_nobody_else_may_read_the_data_folder(gateway: GatewayProcess) -> None:
    found = modes(gateway.data_dir)

    assert {"lock", "board", "books.sqlite", "spool", "otlp-deltas.json", "instance"} <= set(found)
    assert set(found.values()) <= {"drwx------", "-rw-------", "srw-------"}


def test_no_file_of_the_data_folder_holds_a_secret(gateway: GatewayProcess) -> None:
    files = [each for each in gateway.data_dir.rglob("*") if each.is_file()]

    assert len(files) > 4
    assert [each.name for each in files if b"canary" in each.read_bytes()] == []


def test_no_process_leaves_a_core_dump(gateway: GatewayProcess) -> None:
    limits = [Path(f"/proc/{pid}/limits").read_text() for pid in (gateway.pid, *gateway.child_pids)]

    soft = [next(line for line in text.splitlines() if "core file" in line) for text in limits]
    assert [line.split()[4] for line in soft] == ["0"] * len(limits)
    assert len(limits) >= 3


def test_no_argument_of_a_process_holds_a_secret(gateway: GatewayProcess) -> None:
    arguments = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in gateway.child_pids]

    assert [each for each in arguments if b"canary" in each] == []


def test_books_are_not_given_what_only_relays_need_nor_the_other_way_round(
    gateway: GatewayProcess,
) -> None:
    books, relay = processes.books(gateway), processes.relays(gateway)[0]

    of_books, of_relay = (Path(f"/proc/{pid}/environ").read_text() for pid in (books, relay))

    assert [name for name, secret in SECRETS.items() if secret in of_books] == ["BOOKS_TOKEN"]
    assert [name for name, secret in SECRETS.items() if secret in of_relay] == ["HELD", "TEAM"]


def test_a_crash_says_where_and_not_over_what() -> None:
    crashed = subprocess.run(
        [sys.executable, "-c", CRASH], capture_output=True, text=True, timeout=60, check=False
    )

    assert crashed.returncode == 1
    assert crashed.stderr.count("Traceback (most recent call last):") == 8
    assert crashed.stderr.count("RuntimeError") == crashed.stderr.count("ValueError") == 4
    assert "in fail" in crashed.stderr
    assert "Fatal error" in crashed.stderr
    assert "canary" not in crashed.stderr + crashed.stdout


PASTED = {
    "credential": {"upstreams": {"openai": {"credential": "sk-canary"}}},
    "credential as a variable": {"upstreams": {"openai": {"credential": "env:sk-canary"}}},
    "credential as a file": {"upstreams": {"openai": {"credential": "file:sk-canary"}}},
    "credential in a mapping": {"upstreams": {"openai": {"credential": {"env": "sk-canary"}}}},
    "credential of a list": {"upstreams": {"openai": {"credential": ["sk-canary"]}}},
    "credential of two lines": {"upstreams": {"openai": {"credential": "env:TWO_LINES"}}},
    "gateway key": {"gateway_keys": {"team": "canary"}},
    "gateway key as a variable": {"gateway_keys": {"team": "env:sk-canary"}},
    "gateway keys as one": {"gateway_keys": "canary"},
    "books token": {"books": {"token": "canary"}},
    "books token as a variable": {"books": {"token": "env:sk-canary"}},
    "header": {"upstreams": {"openai": {"headers": {"Authorization": "Bearer canary"}}}},
    "proxy header": {"upstreams": {"openai": {"headers": {"Proxy-Authorization": "canary"}}}},
    "user of an address": {"upstreams": {"openai": {"base_url": "https://canary:canary@h"}}},
}


@pytest.mark.parametrize("wrong", PASTED.values(), ids=PASTED)
@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_secret_in_the_wrong_place_is_refused_and_not_shown(
    tmp_path: Path, command: str, wrong: dict[str, object]
) -> None:
    file = tmp_path / "spanmeter.yaml"
    file.write_text(yaml.safe_dump(wrong))

    ended = subprocess.run(
        [sys.executable, "-m", "spanmeter_gateway.cli", command, "--config", str(file)],
        cwd=tmp_path, env={"TWO_LINES": "sk-canary\r\nx-canary: 1", "PATH": os.environ["PATH"]},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert ended.returncode == 2
    assert "canary" not in ended.stdout + ended.stderr


def test_check_names_where_a_secret_is_and_not_what_it_is(gateway: GatewayProcess) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "spanmeter_gateway.cli", "check", "--config",
         str(gateway.folder / "spanmeter.yaml")],
        env=os.environ | SECRETS, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert (ended.returncode, "env:HELD" in ended.stdout) == (0, True)
    assert "canary" not in ended.stdout + ended.stderr
