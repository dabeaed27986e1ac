"""A thousand large bodies at once, and answers that nobody reads, within the memory that is set."""

import re
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests import processes
from tests.fakes.crowd import Crowd
from tests.fakes.raw_client import RawClient
from tests.fakes.raw_provider import RawProvider, read_head
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess

CHAT = "/v1/chat/completions"
CALLERS = 1000
BODY_BYTES = 20_000_000
HELD_BYTES = 64_000_000
MAY_WAIT = 2
"""So many bodies fit into the seven eighths of `HELD_BYTES` that are for large ones."""
BESIDE_BYTES = 150_000_000
"""What `docs/operations.md` allows beside the bodies held: copies of one, and the connections."""
SMALL = b'{"model":"gpt-4o-mini","messages":[]}'
ANSWER = (
    b'{"id":"c","object":"chat.completion","model":"gpt-4o-mini","choices":[],'
    b'"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15}}'
)
READERS = 200
ANSWER_BYTES = 50_000_000
BUFFERS_BYTES = 600_000
"""Of one call: a read of 256 KiB that waits, and the connection's own 64 KiB, with some air."""


class Patient:
    """A provider that takes every body and answers the large ones only when it is told to."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()

    def talk(self, connection: socket.socket) -> None:
        room = bytearray(1 << 20)
        while head := read_head(connection):
            lines, _, rest = head.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", lines)
            assert length is not None
            left = int(length[1]) - len(rest)
            is_large = left > BODY_BYTES // 2
            while left > 0:
                left -= connection.recv_into(room, min(left, len(room))) or left
            if is_large:
                self.may_answer.wait(60)
            framing = b"content-type: application/json\r\ncontent-length: %d" % len(ANSWER)
            connection.sendall(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n%b" % (framing, ANSWER))


@pytest.fixture(autouse=True)
def many_files() -> None:
    """Let this process open as many connections as it may: 1024 is a usual soft limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.fixture
def patient() -> Iterator[Patient]:
    talking = Patient()
    yield talking
    talking.may_answer.set()


def request(framing: str) -> bytes:
    """Write a large chat request, whole or as one chunk of unknown length."""
    frame = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"%b"}]}'
    body = frame % (b"x" * (BODY_BYTES - len(frame)))
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nx-feature: large\r\n".encode()
    if framing == "declared":
        return head + b"content-length: %d\r\n\r\n%b" % (len(body), body)
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    return head + b"transfer-encoding: chunked\r\n\r\n" + chunk


def most_memory_bytes(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.parametrize("framing", ["declared", "chunked"])
def test_a_thousand_large_bodies_at_once_stay_within_the_memory_and_small_calls_get_through(
    patient: Patient, framing: str
) -> None:
    with RawProvider(patient.talk) as provider, gateway_of(provider.base_url) as gateway:
        (relay,) = processes.relays(gateway)
        at_rest = processes.memory_bytes(relay)
        with (
            Crowd(gateway.url, request(framing), CALLERS) as crowd,
            RawClient(gateway.url) as small,
        ):
            crowd.go_on(lambda: len(crowd.answers) >= CALLERS - MAY_WAIT)
            status = small.call(CHAT, SMALL).status
            patient.may_answer.set()
            crowd.go_on(lambda: len(crowd.answers) == CALLERS)
        counted = gateway.wait_metrics(lambda now: now.total("spanmeter_calls_total") > CALLERS)

        assert status == 200
        assert crowd.statuses.keys() == {b"200", b"503"}
        assert 0 < crowd.statuses[b"200"] <= MAY_WAIT
        assert most_memory_bytes(relay) - at_rest < HELD_BYTES + BESIDE_BYTES
        refused = [answer for answer in crowd.answers if answer[9:12] == b"503"]
        assert all(b"limits.held_body_bytes" in answer for answer in refused)
        assert counted.by("spanmeter_calls_total", "error_type") == {
            "": crowd.statuses[b"200"] + 1.0,
            "gateway_busy": float(len(refused)),
        }


def gateway_of(base_url: str) -> GatewayProcess:
    limits = {"held_body_bytes": HELD_BYTES}
    return GatewayProcess(upstreams={"openai": {"base_url": base_url}}, settings={"limits": limits})


def test_answers_that_nobody_reads_stay_with_their_providers(provider: ReplayProvider) -> None:
    with gateway_of(provider.base_url) as gateway, ExitStack() as opened:
        (relay,) = processes.relays(gateway)
        at_rest = processes.memory_bytes(relay)
        address = urlsplit(gateway.url)
        head = f"POST /v1/files HTTP/1.1\r\nhost: x\r\nx-script: large {ANSWER_BYTES}\r\n"
        for _ in range(READERS):
            caller = socket.socket()
            opened.enter_context(caller)
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            caller.connect((address.hostname, address.port))
            caller.sendall(f"{head}content-length: 0\r\n\r\n".encode())
        processes.wait_still(relay)

        assert most_memory_bytes(relay) - at_rest < READERS * BUFFERS_BYTES
