"""The relay as one worker on the candidate's core, its receipts written and books stopped."""

import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench.candidates import Candidate, await_answers
from bench.processes import CANDIDATE_CPU, Started, running
from bench.rig import Door, Mock
from bench.spool import SpoolFolder
from spanmeter_gateway import compiled
from spanmeter_gateway.board import Board
from spanmeter_gateway.config import Config, SpoolLimits
from spanmeter_gateway.start import Start
from spanmeter_gateway.upstreams.upstream import Upstream

MODULE = "spanmeter_gateway.relay.process"
SECURED = "secured"
SPOOL_BYTES = 8_000_000_000
"""More than one run writes: the spool is emptied between runs, and nothing may be dropped."""
BACKLOG = 2048


@contextmanager
def relay(
    mock: Mock, folder: Path, name: str = "spanmeter", *, under: Sequence[str] = ("-m",)
) -> Iterator[Candidate]:
    """Run one relay process; `under` are the interpreter's arguments before the module's name."""
    home = folder / name
    home.mkdir()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(BACKLOG)
        port = listener.getsockname()[1]
        config = configuration(mock, home, port)
        config.data_dir.mkdir()
        Board.create(config.data_dir / "board", config.workers)
        with running(
            [sys.executable, *under, MODULE],
            cpu=CANDIDATE_CPU,
            log=home / "relay.log",
            pass_fds=[listener.fileno()],
            environ=compiled.environ(os.environ),
        ) as started:
            tell(started, Start(config, worker=0, fd=listener.fileno()))
            candidate = Candidate(
                name=name,
                started=started,
                calls=Door(port),
                streams=Door(port),
                secured=Door(port, path=f"/{SECURED}/v1/chat/completions"),
                spool=SpoolFolder(config.data_dir),
            )
            cold_start_s = await_answers(candidate, started)
            candidate.require_spool().settle(3)
            yield replace(candidate, cold_start_s=cold_start_s)


def tell(started: Started, start: Start) -> None:
    """Hand a process its configuration, as the supervisor does; the pipe stays open."""
    assert started.process.stdin is not None
    started.process.stdin.write(start.to_line())
    started.process.stdin.flush()


def configuration(mock: Mock, home: Path, port: int) -> Config:
    """Point OpenAI's place at the mock, and a path of its own at the mock's TLS port."""
    plain = Upstream(
        name="openai",
        provider="openai",
        base_url=f"http://127.0.0.1:{mock.plain_port}",
        stream_usage=True,
    )
    secured = Upstream(
        name=SECURED,
        provider="openai",
        base_url=f"https://localhost:{mock.tls_port}",
        stream_usage=True,
        ca_file=str(mock.certificate),
    )
    return Config(
        listen_port=port,
        data_dir=home / "data",
        upstreams=(plain, secured),
        default_upstream="openai",
        spool=SpoolLimits(max_bytes=SPOOL_BYTES),
    )
