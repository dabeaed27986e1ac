"""Other gateways: how each is set up, as its own documentation does for production."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.candidates import Candidate, await_answers, free_ports
from bench.packages import Package
from bench.processes import CANDIDATE_CPU, Failed, running
from bench.rig import Door, Invalid, Mock, Rig

KEY = "sk-bench-master"
TRIAL_EVENTS = 10
TRIAL_SPACING_MS = 10
TRIAL_WINDOWS_S = (1, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A gateway to compare with.

    In the texts stand `{home}` (its package), `{folder}` and `{file}` (of this run), `{port}`,
    `{spare_port}`, `{upstream}` (the mock's address) and `{key}` (what callers show).
    """

    name: str
    package: Package
    command: tuple[str, ...]
    configuration: str = ""
    file: str = "configuration.yaml"
    """Where the configuration is written, in the run's folder."""
    environ: Mapping[str, str] = field(default_factory=dict)
    headers: tuple[str, ...] = ()
    """That a caller must send."""
    is_compiled: bool = True
    start_limit_s: float = 30.0
    caveat: str
    """What the figures are of, in a sentence or two."""


LITELLM = Peer(
    name="litellm",
    package=Package("pip", "litellm[proxy]", "1.106.2", "litellm"),
    command=(
        *("{home}/bin/litellm", "--config", "{folder}/{file}", "--host", "127.0.0.1"),
        *("--port", "{port}", "--num_workers", "1"),
    ),
    # docs.litellm.ai/docs/proxy/prod, less the database.
    configuration="""
model_list:
  - model_name: gpt-4o-mini
    litellm_params:
      model: openai/gpt-4o-mini
      api_base: {upstream}/v1
      api_key: sk-bench
general_settings:
  master_key: {key}
  disable_spend_logs: true
  disable_error_logs: true
""",
    environ={
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    },
    is_compiled=False,
    start_limit_s=90.0,
    caveat="One worker, master key, no database, spend and error logs off. It translates between "
    "providers, retries and routes, and writes answers anew.",
)
PORTKEY = Peer(
    name="portkey",
    package=Package("npm", "@portkey-ai/gateway", "1.15.2", "portkey"),
    command=(
        "node",
        "{home}/node_modules/@portkey-ai/gateway/build/start-server.js",
        *("--headless", "--port={port}"),
    ),
    environ={"NODE_ENV": "production"},
    headers=("x-portkey-provider: openai", "x-portkey-custom-host: {upstream}/v1"),
    is_compiled=False,
    caveat="Configured by request headers, without the log page. With Node 20 this version answers "
    "every stream with a 500: it appends to the headers of a fetched response.",
)
FERROGW = Peer(
    name="ferrogw",
    package=Package("pip", "ferrogw", "1.5.10", "ferrogw"),
    command=("{home}/bin/ferrogw", "serve"),
    configuration="strategy:\n  mode: fallback\ntargets:\n  - virtual_key: openai\n",
    environ={
        "GATEWAY_CONFIG": "{folder}/{file}",
        "GATEWAY_ENV": "production",
        "MASTER_KEY": "{key}",
        "OPENAI_API_KEY": "sk-bench",
        "OPENAI_BASE_URL": "{upstream}/v1",
        "HOST": "127.0.0.1",
        "PORT": "{port}",
        "LOG_LEVEL": "warn",
        "RATE_LIMIT_RPS": "0",
        "FERRO_MODEL_CATALOG_TIMEOUT": "0",
    },
    caveat="Go. Its rate limit is off (it would answer 429) and its catalogue local; keys and "
    "configuration are in memory. It writes answers and events anew.",
)
ROLTER = Peer(
    name="rolter",
    package=Package("pip", "rolter", "0.1.0", "rolter"),
    file="rolter.toml",
    command=("{home}/bin/rolter", "gateway", "--config", "{folder}/{file}"),
    configuration="""
[server]
host = "127.0.0.1"
port = {port}
[queue]
capacity = 4096
[[providers]]
name = "openai"
kind = "openai_compatible"
api_base = "{upstream}"
api_key_env = "OPENAI_API_KEY"
[[routes]]
model = "gpt-4o-mini"
strategy = "round_robin"
[[routes.targets]]
provider = "openai"
model = "gpt-4o-mini"
[[virtual_keys]]
key = "{key}"
name = "bench"
models = []
""",
    environ={"OPENAI_API_KEY": "sk-bench", "RUST_LOG": "warn", "ROLTER_KEY_PEPPER": "bench"},
    caveat="Rust. Data plane alone: a virtual key, no request log (it needs ClickHouse), no "
    "budgets (they need Redis); its queue of 256 is made longer, it would answer 429.",
)
SMG = Peer(
    name="smg",
    package=Package("pip", "smg", "1.13.0", "smg"),
    command=(
        *("{home}/bin/smg", "launch", "--host", "127.0.0.1", "--port", "{port}"),
        *("--worker-urls", "{upstream}", "--backend", "openai", "--policy", "round_robin"),
        *("--prometheus-port", "{spare_port}", "--log-level", "warn"),
        "--disable-tokenizer-autoload",
    ),
    caveat="Rust. It balances model servers rather than providers: no keys, no cost; Prometheus "
    "metrics on.",
)
NOVEUM = Peer(
    name="noveum",
    package=Package("cargo", "noveum-ai-gateway", "2.0.1", "noveum"),
    command=("{home}/bin/noveum-ai-gateway",),
    environ={
        "HOST": "127.0.0.1",
        "PORT": "{port}",
        "OPENAI_BASE_URL": "{upstream}",
        "RUST_LOG": "warn",
        "DEPLOYMENT_ENVIRONMENT": "production",
    },
    headers=("x-provider: openai",),
    caveat="Rust, built here from source. The caller's own credential; usage and cost of each call "
    "are read, and then neither kept nor exported.",
)

PEERS = {one.name: one for one in (LITELLM, PORTKEY, FERROGW, ROLTER, SMG, NOVEUM)}

ABSENT = {
    "Bifrost": "the Go module proxy refuses github.com/maximhq/bifrost; its npm package downloads",
    "agentgateway": "not on crates.io",
    "Helicone ai-gateway": "not on crates.io, where that name is another project's",
}
"""Gateways that were looked for, and why they are not compared."""


@contextmanager
def running_peer(peer: Peer, mock: Mock, folder: Path) -> Iterator[Candidate]:
    """Run a peer on the candidate's core, in a folder that is not there yet."""
    folder.mkdir()
    port, spare_port = free_ports(2)
    words = {
        "home": str(peer.package.home),
        "folder": str(folder),
        "file": peer.file,
        "port": str(port),
        "spare_port": str(spare_port),
        "upstream": f"http://127.0.0.1:{mock.plain_port}",
        "key": KEY,
    }
    (folder / peer.file).write_text(peer.configuration.format(**words))
    environ = {name: text.format(**words) for name, text in peer.environ.items()}
    command = [word.format(**words) for word in peer.command]
    if shutil.which(command[0]) is None:
        raise Failed(f"{peer.name}: {command[0]} is not there")
    headers = tuple(text.format(**words) for text in peer.headers)
    door = Door(port, key=KEY, is_verbatim=False, headers=headers)
    log = folder / "log"
    with running(
        command, cpu=CANDIDATE_CPU, log=log, environ={**os.environ, **environ}, folder=folder
    ) as started:
        candidate = Candidate(peer.name, started, door)
        cold_start_s = await_answers(candidate, started, peer.start_limit_s)
        yield replace(candidate, cold_start_s=cold_start_s)


def with_streams(candidate: Candidate, rig: Rig) -> tuple[Candidate, str]:
    """Open the door for streams where they work; else say why they do not."""
    for window_s in TRIAL_WINDOWS_S:
        try:
            figures = rig.streams(
                candidate.calls,
                (),
                connections=1,
                events=TRIAL_EVENTS,
                spacing=f"{TRIAL_SPACING_MS}ms",
                window=f"{window_s}s",
            )
        except Invalid as error:
            return candidate, str(error)
        if not figures.calls:
            continue  # a slow one, or a busy machine
        if figures.latency_us.p50 < TRIAL_EVENTS * TRIAL_SPACING_MS * 1000 / 2:
            return candidate, "the mock's pace is lost: it drops the field `seed`"
        return replace(candidate, streams=candidate.calls), ""
    return candidate, f"none ended within {TRIAL_WINDOWS_S[-1]} s"
