"""The books' port of a real gateway: who may read it, and that readers cannot stop the entry."""

import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.fakes.raw_client import RawClient
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess
from tests.processes import wait_until
from tests.prometheus_process import PrometheusProcess

TOKEN = "canary-token-of-the-books"
CALLS = "spanmeter_calls_total"


@pytest.fixture(scope="module")
def gateway(provider: ReplayProvider) -> Iterator[GatewayProcess]:
    """Return a gateway whose books listen on every interface, and ask for a token."""
    running = GatewayProcess(
        upstreams={"openai": {"base_url": provider.base_url}},
        settings={"spool": {"flush_interval_s": 0.05}},
        environ={"BOOKS_TOKEN": f" {TOKEN}\n"},
    )
    running.config["books"]["token"] = "env:BOOKS_TOKEN"
    with running:
        yield running


@pytest.fixture(scope="module")
def open_gateway(provider: ReplayProvider) -> Iterator[GatewayProcess]:
    running = GatewayProcess(
        upstreams={"openai": {"base_url": provider.base_url}},
        settings={"spool": {"flush_interval_s": 0.05}},
    )
    running.config["books"]["listen"] = running.config["books"]["listen"].replace(
        "127.0.0.1", "0.0.0.0"
    )
    with running:
        yield running


def call(gateway: GatewayProcess, feature: str) -> int:
    with RawClient(gateway.url) as client:
        headers = [("x-feature", feature), ("x-script", "chat")]
        return client.call("/v1/chat/completions", b'{"model":"m"}', headers=headers).status


def read(gateway: GatewayProcess, path: str, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(gateway.books_url + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def stdout(gateway: GatewayProcess) -> str:
    return " ".join((gateway.folder / "stdout.txt").read_text().split())


def top(gateway: GatewayProcess, folder: Path, token: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "spanmeter_gateway.cli", "top", "--once", "--config"]
    return subprocess.run(
        [*command, str(gateway.folder / "spanmeter.yaml")],
        env={"BOOKS_TOKEN": token, "PATH": ""}, cwd=folder, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("shown", [{}, {"Authorization": f"Bearer {TOKEN}-no"}])
def test_a_stranger_is_told_nothing_but_that_the_books_live(
    gateway: GatewayProcess, shown: dict[str, str]
) -> None:
    status, text = read(gateway, "/metrics", **shown)

    assert (status, "spanmeter_" in text) == (401, False)
    assert read(gateway, "/healthz", **shown)[0] == 200


def test_prometheus_scrapes_with_the_token_and_not_without(
    gateway: GatewayProcess, tmp_path: Path
) -> None:
    call(gateway, "scraped")
    file = tmp_path / "token"
    file.write_text(TOKEN)
    targets = {"static_configs": [{"targets": [urlsplit(gateway.books_url).netloc]}]}
    jobs = [
        {"job_name": "bare", **targets},
        {"job_name": "shown", "authorization": {"credentials_file": str(file)}, **targets},
    ]

    with PrometheusProcess({}, settings={"scrape_configs": jobs}) as prometheus:
        prometheus.wait(f'{CALLS}{{spanmeter_feature="scraped"}} > 0', bool)
        up = {sample.labels["job"]: sample.value for sample in prometheus.query("up")}

    assert up == {"bare": 0, "shown": 1}


def test_top_shows_the_token_of_the_configuration(gateway: GatewayProcess, tmp_path: Path) -> None:
    call(gateway, "on-top")
    url = f"{gateway.books_url}/metrics"
    wait_until(lambda: "on-top" in read(gateway, "/metrics", Authorization=f"Bearer {TOKEN}")[1])

    right, wrong = top(gateway, tmp_path, TOKEN), top(gateway, tmp_path, "wrong")

    assert (right.returncode, "on-top" in right.stdout) == (0, True)
    assert wrong.returncode == 1
    assert f"no metrics at {url}: it answers 401; it asks for its books.token" in wrong.stderr
    assert TOKEN not in right.stdout + right.stderr + wrong.stdout + wrong.stderr


def test_an_open_port_without_a_token_is_warned_of(
    gateway: GatewayProcess, open_gateway: GatewayProcess
) -> None:
    warning = "0.0.0.0 is open to the network: whoever reaches port"

    wait_until(lambda: "live table" in stdout(open_gateway) and "live table" in stdout(gateway))

    assert warning in stdout(open_gateway)
    assert warning not in stdout(gateway)


def test_readers_who_are_slow_or_silent_stop_no_receipt(open_gateway: GatewayProcess) -> None:
    address = urlsplit(open_gateway.books_url)
    spool = open_gateway.data_dir / "spool"
    with ExitStack() as stack:
        for number in range(200):
            held = stack.enter_context(
                socket.create_connection((address.hostname, address.port), timeout=20)
            )
            begun = b"GET /metrics HTTP/1.1\r\nhost: x\r\n" + b"\r\n" * (number % 2)
            held.send(begun)

        statuses = {call(open_gateway, "unhindered") for _ in range(20)}
        wait_until(lambda: not any(spool.glob("*.ndjson")))

    metrics = open_gateway.wait_metrics(lambda now: now.total(CALLS) >= 20)
    assert statuses == {200}
    assert metrics.total(CALLS, spanmeter_feature="unhindered") == 20
