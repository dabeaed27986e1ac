"""The run: one gateway, every fault, a good call through the same pool behind each, the receipts.

Books stand still meanwhile, so that every receipt stays in the spool and can be read there.
"""

import datetime
import socket
import ssl
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import trustme
from tests import processes
from tests.conformance.evidence import called, read_lines
from tests.fakes.faulty_provider import Fault, FaultyProvider, reset
from tests.fakes.raw_client import RawAnswer, RawClient
from tests.fakes.raw_provider import RawProvider
from tests.fakes.recorded_tls import RecordedTls
from tests.faults.provider_faults import CONNECTING, End, Row
from tests.gateway_process import GatewayProcess

LANES = 8
CHAT = "/v1/chat/completions"
SHORT = {"connect_s": 0.5, "first_byte_s": 2, "idle_s": 2}
LONG = {"connect_s": 20, "first_byte_s": 20, "idle_s": 20}
_IMPATIENT = ("impatient", "black-hole", "tls-silence")
_BODIES = {
    "stream": b'{"model":"gpt-4o-mini","messages":[],"stream":true}',
    "big": b'{"model":"gpt-4o-mini","messages":[],"x":"' + b"x" * 2_000_000 + b'"}',
    "files": b"x" * 200_000,
}
_PLAIN = b'{"model":"gpt-4o-mini","messages":[]}'
_OWN_POOL = ("kept", "fresh")


@dataclass(frozen=True, slots=True)
class Played:
    """What became of one fault: its end, and whether the next call got its own answer."""

    end: End
    is_next_well: bool
    receipts: int


@dataclass(frozen=True, slots=True)
class World:
    """A gateway in front of everything that can go wrong."""

    gateway: GatewayProcess

    def ask(self, row: Row, *, fault: str = "") -> RawAnswer:
        """Make one call through a row's upstream; without a fault, a good one."""
        nonce = uuid.uuid4().hex[:12]
        headers = [("x-nonce", nonce), ("x-tags", f"call:{fault}" if fault else "call:good")]
        ask = row.ask if fault else "chat"
        if fault:
            headers.append(("x-fault", fault))
        if ask in ("big", "files"):
            headers.append(("x-unread", "1"))
        path = "/v1/files" if ask == "files" else CHAT
        prefix = f"/{_upstream_of(row)}" if _upstream_of(row) else ""
        with RawClient(self.gateway.url) as client:
            answer = client.call(f"{prefix}{path}", _BODIES.get(ask, _PLAIN), headers=headers)
        is_own = fault != "" or nonce.encode() in answer.body
        return answer if is_own else replace(answer, status=0)

    def play(self, row: Row) -> tuple[RawAnswer, bool]:
        """Let a fault happen, and make a good call through the same pool."""
        if row.ask == "kept":
            self.ask(row)
        answer = self.ask(row, fault=row.name)
        is_reachable = row not in CONNECTING or row.end.status == 200
        after = self.ask(row if is_reachable else Row("", "", row.end))
        return answer, after.status == 200

    def play_all(self, rows: Sequence[Row]) -> dict[str, Played]:
        """Play all rows, some at a time; gather their receipts."""
        with ThreadPoolExecutor(LANES) as lanes:
            answers = dict(zip([row.name for row in rows], lanes.map(self.play, rows), strict=True))
        receipts = self.receipts(set(answers))
        return {
            row.name: Played(
                _end(row, answers[row.name][0], receipts[row.name][0]),
                is_next_well=answers[row.name][1],
                receipts=len(receipts[row.name]),
            )
            for row in rows
        }

    def receipts(self, names: set[str]) -> dict[str, list[Mapping[str, Any]]]:
        """Wait for the receipts of these calls; all that there are of each."""

        def found() -> dict[str, list[Mapping[str, Any]]]:
            by_name: dict[str, list[Mapping[str, Any]]] = {}
            for receipt in read_lines(self.gateway.data_dir, "receipt"):
                by_name.setdefault(called(receipt), []).append(receipt)
            return by_name

        processes.wait_until(lambda: names <= found().keys())
        return {name: came for name, came in found().items() if name in names}


def survived(rows: Sequence[Row], played: Mapping[str, Played]) -> int:
    """Count the faults that ended as they must, and harmed nobody else."""
    well = [Played(row.end, is_next_well=True, receipts=1) == played[row.name] for row in rows]
    return sum(well)


def _upstream_of(row: Row) -> str:
    return row.name if row.ask in _OWN_POOL else row.upstream


def _end(row: Row, answer: RawAnswer, receipt: Mapping[str, Any]) -> End:
    # In a pool that others share, a call may meet a connection that another's fault has closed.
    retries = receipt["attempts"][0].get("retries", 0) if row.ask in _OWN_POOL else 0
    return End(
        status=answer.status,
        code=_code(answer.body),
        is_cut=answer.is_cut,
        outcome=receipt["outcome"],
        error_type=receipt.get("error_type"),
        unmetered=receipt.get("unmetered"),
        retries=retries,
    )


def _code(body: bytes) -> str | None:
    try:
        code = msgspec.json.decode(body)["error"]["code"]
    except (msgspec.DecodeError, KeyError, TypeError):
        return None
    return str(code)


@contextmanager
def world(rows: Sequence[Row], faults: Mapping[str, Fault]) -> Iterator[World]:
    """Start providers and gateway."""
    with ExitStack() as opened:
        upstreams = _upstreams(opened, rows, faults)
        settings = {"spool": {"flush_interval_s": 0.05}, "drain_s": 1}
        gateway = opened.enter_context(GatewayProcess(upstreams=upstreams, settings=settings))
        with processes.frozen(processes.books(gateway)):
            yield World(gateway)


def _upstreams(
    opened: ExitStack, rows: Sequence[Row], faults: Mapping[str, Fault]
) -> dict[str, dict[str, Any]]:
    authority, stranger = trustme.CA(), trustme.CA()
    folder = Path(opened.enter_context(TemporaryDirectory(prefix="faults-")))
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    certificates = {
        "tls": authority.issue_cert("127.0.0.1"),
        "tls-records": authority.issue_cert("127.0.0.1"),
        "expired": authority.issue_cert("127.0.0.1", not_before=past, not_after=past),
        "wrong-host": authority.issue_cert("elsewhere.example"),
        "stranger": stranger.issue_cert("127.0.0.1"),
    }
    plain = opened.enter_context(FaultyProvider(faults))
    bases = {"openai": plain.base_url, "impatient": plain.base_url}
    for name, certificate in certificates.items():
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(context)
        secured = RecordedTls(context) if name == "tls-records" else context
        bases[name] = opened.enter_context(FaultyProvider(faults, tls=secured)).base_url
    bases |= {row.name: bases[row.upstream or "openai"] for row in rows if row.ask in _OWN_POOL}
    bases["refused"] = "http://127.0.0.1:1"
    bases["no-address"] = "http://127.0.0.1.invalid"
    bases["black-hole"] = f"http://127.0.0.1:{_black_hole(opened)}"
    for name, talk in (
        ("no-tls", _answers_plainly),
        ("tls-silence", _waits),
        ("tls-reset", _resets),
    ):
        bases[name] = opened.enter_context(RawProvider(talk)).base_url.replace("http:", "https:")
    return {
        name: {
            "provider": "openai",
            "base_url": base,
            "timeouts": SHORT if name in _IMPATIENT else LONG,
        }
        | ({"ca_file": str(folder / "ca.pem")} if base.startswith("https") else {})
        for name, base in bases.items()
    }


def _black_hole(opened: ExitStack) -> int:
    """Listen with a backlog that is full: the kernel answers no further SYN."""
    listener = opened.enter_context(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    for _ in range(4):
        waiting = opened.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(listener.getsockname())
    return int(listener.getsockname()[1])


def _answers_plainly(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")


def _waits(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def _resets(connection: socket.socket) -> None:
    connection.recv(65536)
    reset(connection)
