"""No content and no secret is written down anywhere, whatever becomes of a call."""

import re
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests import processes
from tests.fakes.canaries import BIG, CANARY, KEYS, MALFORMED, CanaryCall, calls, canary, tell
from tests.fakes.otlp_sink import OtlpSink
from tests.fakes.raw_client import RawAnswer, RawClient
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess

FEATURE = "birdwatching"
LEAK = re.compile(rb".{0,40}" + CANARY.encode() + rb".{0,40}", re.IGNORECASE | re.DOTALL)
UNREADABLE_HEADS = [
    f"GET /{CANARY} HTTP/9.9\r\nauthorization: {CANARY}\r\n\r\n",
    f"{CANARY.upper()} /v1/models HTTP/1.1\r\nhost: x\r\n\r\n",
    f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {CANARY}\r\n\r\n",
    f"GET /v1/models HTTP/1.1\r\nhost: x\r\nx-long: {CANARY * 20_000}\r\n\r\n",
    f"{CANARY}\0\r\n\r\n",
]


@pytest.fixture(scope="module")
def provider() -> Iterator[ReplayProvider]:
    with ReplayProvider(scripts={"tell": tell}) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(provider: ReplayProvider, sink: OtlpSink) -> Iterator[GatewayProcess]:
    here = {"provider": "openai", "base_url": provider.base_url}
    upstreams = {
        "openai": here | {"forward_trace": True},
        "anthropic": here | {"provider": "anthropic"},
        "gemini": here | {"provider": "gemini"},
        "held": here | {"credential": {"env": "HELD_KEY"}},
        "impatient": here | {"timeouts": {"first_byte_s": 0.3}},
        "refused": here | {"base_url": "http://127.0.0.1:1"},
    }
    settings = {
        "limits": {"body_bytes": BIG},
        "spool": {"flush_interval_s": 0.05},
        "gateway_keys": {"team": {"env": "TEAM_KEY"}},
        "semconv": "both",
        "cost_alias": True,
        "metrics": {"operation_cost": True},
    }
    environ = {
        **sink.environ,
        "HELD_KEY": f"sk-{CANARY}-held",
        "TEAM_KEY": f"{CANARY}-team",
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
    }
    with GatewayProcess(upstreams=upstreams, settings=settings, environ=environ) as running:
        yield running


def send(gateway: GatewayProcess, call: CanaryCall, *, key: str = f"{CANARY}-team") -> RawAnswer:
    own = [("x-feature", FEATURE), ("x-gateway-key", key), ("x-script", call.script)]
    with RawClient(gateway.url) as client:
        keys = KEYS if call.has_keys else KEYS[:1]
        headers = [*own, *keys, *MALFORMED, *call.headers]
        return client.call(call.target, call.body, headers=headers, method=call.method)


def send_head(gateway: GatewayProcess, head: str) -> bytes:
    address = urlsplit(gateway.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connected:
        connected.sendall(head.encode())
        return b"".join(iter(lambda: connected.recv(65536), b""))


def leave(gateway: GatewayProcess, call: CanaryCall) -> None:
    """Send a call and leave before its answer."""
    address = urlsplit(gateway.url)
    head = (
        f"POST {call.target} HTTP/1.1\r\nhost: x\r\nx-feature: {FEATURE}\r\nx-script: never\r\n"
        f"x-gateway-key: {CANARY}-team\r\ncontent-length: {len(call.body)}\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port), timeout=20) as connected:
        connected.sendall(head.encode() + call.body)
        connected.shutdown(socket.SHUT_WR)
        connected.recv(1)


def files(folder: Path) -> dict[str, bytes]:
    """Read every file of a folder, its path before its content."""
    found = sorted(each for each in folder.rglob("*") if each.is_file())
    return {str(each): str(each).encode() + b"\n" + each.read_bytes() for each in found}


def pages(gateway: GatewayProcess) -> dict[str, bytes]:
    """Read the metrics in both formats."""
    read = {}
    for accept in ("text/plain", "application/openmetrics-text"):
        wanted = urllib.request.Request(f"{gateway.books_url}/metrics", headers={"accept": accept})
        with urllib.request.urlopen(wanted, timeout=10) as answer:
            read[f"/metrics as {accept}"] = answer.read()
    return read


def leaks(written: dict[str, bytes]) -> list[str]:
    return [
        f"{place}: {found[0]!r}"
        for place, text in written.items()
        if (found := LEAK.search(text)) is not None
    ]


def test_no_canary_is_written_down_anywhere(
    gateway: GatewayProcess, provider: ReplayProvider, sink: OtlpSink
) -> None:
    sent = list(calls())
    amount = len(sent) + 2
    chat = sent[0]

    with processes.frozen(processes.books(gateway)):
        answers = {call: send(gateway, call) for call in sent}
        stranger = send(gateway, chat, key=f"{CANARY}-stranger")
        leave(gateway, chat)
        heads = [send_head(gateway, head) for head in UNREADABLE_HEADS]
        spool = gateway.data_dir / "spool"
        processes.wait_until(
            lambda: (
                sum(each.read_bytes().count(b'"type":"receipt"') for each in spool.glob("*.ndjson"))
                >= amount
            )
        )
        arguments = subprocess.run(
            ["ps", "-A", "-o", "pid=,args="], check=True, capture_output=True
        ).stdout
        spooled = files(gateway.data_dir)
    ours = {f"the answer to {call}": answers[call].body for call in sent if call.is_ours}
    of_ours = {"spanmeter_feature": FEATURE}
    gateway.wait_metrics(
        lambda now: (
            now.total("spanmeter_calls_total", **of_ours)
            + now.total("spanmeter_passthrough_total", **of_ours)
            == amount
        )
    )
    sink.wait(lambda spans: sum(span.kind == "SERVER" for span in spans) >= amount)
    exported = len(sink.metrics)
    processes.wait_until(lambda: len(sink.metrics) > exported + 1)
    served = pages(gateway)
    gateway.stop()
    written = {
        **ours,
        "the answer to a stranger": stranger.body,
        **{f"the answer to an unreadable head {at}": head for at, head in enumerate(heads)},
        "arguments of processes": arguments,
        **spooled,
        **served,
        **files(gateway.data_dir),
        "standard error": gateway.errors.encode(),
        "standard output": (gateway.folder / "stdout.txt").read_bytes(),
        **{f"export {at}": body for at, body in enumerate(sink.bodies)},
    }

    assert leaks(written) == []
    for place in ("/metrics as text/plain", "/metrics as application/openmetrics-text"):
        assert FEATURE.encode() in written[place]
    assert any(FEATURE.encode() in text for place, text in spooled.items() if "spool" in place)
    assert sum(canary("prompt").encode() in each.body for each in provider.received) > 10
