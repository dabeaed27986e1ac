"""A second gateway takes the place of the running one: no call is lost, each is counted once."""

import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from tests import processes, reloads
from tests.accounts import Account
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess
from tests.traffic import PLAIN, PRICES, REFUSED, STREAMED, EndlessStream, Traffic

KINDS = (PLAIN, STREAMED, REFUSED)
WAIT_S = 60.0


class Successor:
    """`serve --take-over` with the configuration of a gateway, in a process of its own."""

    def __init__(self, gateway: GatewayProcess, settings: dict[str, object] | None = None) -> None:
        path = gateway.folder / f"{uuid.uuid4().hex}.yaml"
        path.write_text(yaml.safe_dump(gateway.config | (settings or {}), sort_keys=False))
        self._log = path.with_suffix(".log")
        self._books_url = gateway.books_url
        with self._log.open("wb") as log:
            command = [sys.executable, "-m", "spanmeter_gateway.cli", "serve", "--take-over"]
            self.process = subprocess.Popen(
                [*command, "--config", str(path)], cwd=gateway.folder, stderr=log, stdout=log
            )

    @property
    def log(self) -> str:
        """What it said so far."""
        return self._log.read_text(errors="replace")

    def wait_up(self) -> None:
        """Wait until it has taken over, books included."""
        processes.wait_until(
            lambda: "OPENAI_BASE_URL" in self.log or self.process.poll() is not None,
            timeout_s=WAIT_S,
        )
        assert self.process.poll() is None, self.log
        processes.wait_until(lambda: processes.is_answering(f"{self._books_url}/healthz"))

    def end(self) -> int:
        """Stop it, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_S)


@contextmanager
def successor(
    gateway: GatewayProcess, settings: dict[str, object] | None = None
) -> Iterator[Successor]:
    """Take over, and end without an error."""
    started = Successor(gateway, settings)
    try:
        yield started
        assert started.end() == 0, started.log
        assert "Traceback" not in started.log, started.log
    finally:
        started.process.kill()
        started.process.wait()


@pytest.fixture
def gateway(provider: ReplayProvider) -> Iterator[GatewayProcess]:
    here = {"provider": "openai", "base_url": provider.base_url}
    settings = {"drain_s": 30, "prices": PRICES}
    with GatewayProcess(upstreams={"openai": here}, settings=settings) as running:
        yield running


@pytest.fixture
def name() -> str:
    return f"t{uuid.uuid4().hex[:8]}"


def assert_counted_once(gateway: GatewayProcess, traffic: Traffic) -> None:
    """Hold the metrics against what the clients saw."""
    expected = Account.of(traffic.made)
    calls = len(traffic.made)
    metrics = gateway.wait_metrics(
        lambda seen: Account.read(seen, traffic.name).waits >= calls, timeout_s=WAIT_S
    )
    assert traffic.broken == []
    assert Account.read(metrics, traffic.name) == expected
    assert metrics.by("spanmeter_receipts_dropped_total", "reason") == {}
    assert metrics.total("spanmeter_relay_lost_calls_total") == 0


def test_two_takeovers_in_a_row_under_traffic_lose_nothing(
    gateway: GatewayProcess, name: str
) -> None:
    with Traffic(gateway.url, name, kinds=KINDS, clients=3, pause_s=0.005) as traffic:
        traffic.wait_more(30)
        with successor(gateway) as second:
            second.wait_up()
            gateway.wait_end()
            traffic.wait_more(30)
            with successor(gateway, {"workers": 2}) as third:
                third.wait_up()
                assert second.process.wait(WAIT_S) == 0
                traffic.wait_more(30)
                traffic.__exit__()
                assert_counted_once(gateway, traffic)


def test_a_stream_goes_on_in_the_old_gateway_until_it_ends(
    gateway: GatewayProcess, name: str
) -> None:
    with EndlessStream(gateway.url, f"{name}-stream", name) as stream:
        stream.wait_chunks(1)
        with successor(gateway) as second:
            second.wait_up()
            stream.wait_chunks(stream.chunks + 20)
            with Traffic(gateway.url, name, kinds=(PLAIN,), clients=1) as traffic:
                traffic.wait_more(5)
            assert_counted_once(gateway, traffic)
            assert not stream.is_broken
            assert processes.is_running(gateway.pid)
            stream.__exit__()
            gateway.wait_end()
            metrics = gateway.wait_metrics(
                lambda seen: seen.total("spanmeter_calls_total", spanmeter_outcome="cancelled") > 0
            )

    assert metrics.total("spanmeter_calls_total", spanmeter_outcome="cancelled") == 1


@pytest.mark.parametrize(
    ("settings", "status", "said"),
    [
        ({"workers": 0}, 2, "workers"),
        ({"books": {"listen": "192.0.2.1:9464"}}, 1, "is no address of this machine"),
    ],
)
def test_a_takeover_that_fails_leaves_the_old_gateway_as_it_was(
    gateway: GatewayProcess, name: str, settings: dict[str, object], status: int, said: str
) -> None:
    children = gateway.child_pids
    with Traffic(gateway.url, name, kinds=KINDS, clients=2, pause_s=0.01) as traffic:
        failed = Successor(gateway, settings)
        assert failed.process.wait(WAIT_S) == status
        traffic.wait_more(20)

    assert said in failed.log
    assert gateway.child_pids == children
    assert_counted_once(gateway, traffic)


def test_a_takeover_whose_relays_never_serve_leaves_the_old_gateway_as_it_was(
    gateway: GatewayProcess, name: str, tmp_path: Path
) -> None:
    keys = {one: reloads.secret(tmp_path / one, "the-same") for one in ("shop", "search")}
    with Traffic(gateway.url, name, kinds=KINDS, clients=2, pause_s=0.05) as traffic:
        failed = Successor(gateway, {"gateway_keys": keys})
        assert failed.process.wait(WAIT_S) == 1
        traffic.wait_more(20)

    assert "no relay starts" in failed.log
    assert_counted_once(gateway, traffic)


def test_without_a_running_gateway_a_takeover_is_a_start(
    gateway: GatewayProcess, name: str
) -> None:
    gateway.stop()
    with successor(gateway) as started:
        started.wait_up()
        with Traffic(gateway.url, name, kinds=KINDS, clients=1) as traffic:
            traffic.wait_more(5)
        assert_counted_once(gateway, traffic)
