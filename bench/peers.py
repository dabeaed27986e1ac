"""Other gateways, each in an environment of its own in the cache; only calls/s is compared."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

from bench.candidates import Candidate, await_answers, free_ports
from bench.contest import Contest, Pace
from bench.measures import CONNECTIONS
from bench.processes import CANDIDATE_CPU, running
from bench.rig import CACHE, Door, Figures, Mock
from bench.rows import Bar, Row, row

LITELLM = "litellm[proxy]==1.106.2"
LITELLM_BAR = Bar(100, 200, "more")
LITELLM_START_LIMIT_S = 60.0
"""Measured: 15 s on a quiet machine."""
KEY = "sk-bench-master"
PEER_PACE = Pace(rounds=5, window_s=3.0)

# One worker, no database; spend and error logs are off. See also the environment below.
_LITELLM_CONFIGURATION = """
model_list:
  - model_name: gpt-4o-mini
    litellm_params:
      model: openai/gpt-4o-mini
      api_base: http://127.0.0.1:{port}/v1
      api_key: sk-bench
general_settings:
  master_key: {key}
  disable_spend_logs: true
  disable_error_logs: true
"""
_LITELLM_ENVIRON = {
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}

Peer = Callable[[Mock, Path], AbstractContextManager[Candidate]]


def _installed(name: str, requirement: str) -> Path:
    """Install a peer where it is not yet, and give its environment's programs."""
    home = CACHE / "peers" / name
    marker = home / f"{requirement}.installed"
    if not marker.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(home / "bin" / "pip"), "install", "-q", requirement], check=True)
        marker.touch()
    return home / "bin"


@contextmanager
def litellm(mock: Mock, folder: Path) -> Iterator[Candidate]:
    """Run LiteLLM's proxy as its documentation advises for production, less the database."""
    programs = _installed("litellm", LITELLM)
    configuration = folder / "litellm.yaml"
    configuration.write_text(_LITELLM_CONFIGURATION.format(port=mock.plain_port, key=KEY))
    [port] = free_ports(1)
    command = [str(programs / "litellm"), "--config", str(configuration)]
    with running(
        [*command, "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"],
        cpu=CANDIDATE_CPU,
        log=folder / "litellm.log",
        environ={**os.environ, **_LITELLM_ENVIRON},
    ) as started:
        candidate = Candidate("litellm", started, Door(port, key=KEY, is_verbatim=False))
        await_answers(candidate, started, LITELLM_START_LIMIT_S)
        yield candidate


PEERS: dict[str, tuple[Peer, Bar]] = {"litellm": (litellm, LITELLM_BAR)}


def against(contest: Contest, mock: Mock, name: str) -> list[Row]:
    """Measure calls a second against a peer, taking turns with it."""
    start, bar = PEERS[name]
    contest.rig.folder.joinpath(name).mkdir()
    with start(mock, contest.rig.folder / name) as peer:
        duel = replace(contest, reference=peer, pace=PEER_PACE)

        def turn(candidate: Candidate) -> Figures:
            return duel.rig.calls(
                candidate.calls,
                candidate.pids,
                connections=CONNECTIONS,
                window=duel.pace.window,
                warm="500ms",
            )

        found = duel.play(turn)
    contest.sent, contest.receipts = duel.sent, duel.receipts
    ours, theirs = (
        [figures.calls_per_s for figures in found[one.name]] for one in (contest.ours, peer)
    )
    note = f"the left figure is {name}'s"
    return [
        row(f"calls/s against {name}", ours=ours, reference=theirs, unit="1/s", bar=bar, note=note)
    ]
