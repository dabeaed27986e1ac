"""The relay's hot path as machine code: the same sources, compiled by mypyc, about twice as fast.

`spanmeter compile` copies both packages beside the environment's libraries and compiles in the copy
what every call goes through; `serve` starts its relays from there. The copy remembers the
sources it was made of: after any change of them, relays run the sources until compiled again.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import spanmeter
from spanmeter_gateway.errors import CannotCompile

# What defines msgspec types stays as it is: mypyc keeps no annotations for msgspec to read.
MODULES = (
    "spanmeter/attribution_sources.py",
    "spanmeter/decoding.py",
    "spanmeter/dialects/answer.py",
    "spanmeter/dialects/anthropic_messages.py",
    "spanmeter/dialects/found.py",
    "spanmeter/dialects/gemini_generate.py",
    "spanmeter/dialects/gemini_usage.py",
    "spanmeter/dialects/json_array.py",
    "spanmeter/dialects/json_values.py",
    "spanmeter/dialects/openai_chat.py",
    "spanmeter/dialects/openai_embeddings.py",
    "spanmeter/dialects/openai_responses.py",
    "spanmeter/dialects/openai_usage.py",
    "spanmeter/dialects/provider_error.py",
    "spanmeter/dialects/registry.py",
    "spanmeter/dialects/request.py",
    "spanmeter/dialects/sse.py",
    "spanmeter/outcome.py",
    "spanmeter_gateway/relay/account.py",
    "spanmeter_gateway/relay/answer.py",
    "spanmeter_gateway/relay/body_edit.py",
    "spanmeter_gateway/relay/call.py",
    "spanmeter_gateway/relay/caller.py",
    "spanmeter_gateway/relay/caller_connection.py",
    "spanmeter_gateway/relay/chunk_times.py",
    "spanmeter_gateway/relay/exchange.py",
    "spanmeter_gateway/relay/head.py",
    "spanmeter_gateway/relay/inbound.py",
    "spanmeter_gateway/relay/journey.py",
    "spanmeter_gateway/relay/meter.py",
    "spanmeter_gateway/relay/outcome.py",
    "spanmeter_gateway/relay/relay.py",
    "spanmeter_gateway/relay/request.py",
    "spanmeter_gateway/relay/response.py",
    "spanmeter_gateway/relay/trace.py",
    "spanmeter_gateway/relay/usage_chunk.py",
    "spanmeter_gateway/relay/waiting.py",
    "spanmeter_gateway/routing/address.py",
    "spanmeter_gateway/routing/choice.py",
    "spanmeter_gateway/upstreams/connection.py",
    "spanmeter_gateway/upstreams/limited_pool.py",
    "spanmeter_gateway/upstreams/pool.py",
    "spanmeter_gateway/upstreams/transfer_chunks.py",
)
SOURCES = tuple(Path(package).parent for package in (spanmeter.__file__, __file__))
_FINGERPRINT = "FINGERPRINT"
_MYPY_FLAGS = (
    "--config-file=",
    "--follow-imports=silent",
    "--ignore-missing-imports",
    f"--python-version={sys.version_info.major}.{sys.version_info.minor}",
)
_SHOWN_LINES = 12


def environ(inherited: Mapping[str, str], home: Path | None = None) -> dict[str, str]:
    """Return the environment of a relay: with the compiled copy first, where there is a fit one."""
    found = find(home)
    if found is None:
        return dict(inherited)
    paths = (str(found), inherited.get("PYTHONPATH", ""))
    return {**inherited, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def find(home: Path | None = None) -> Path | None:
    """Return the compiled copy; `None` unless it was made of exactly these sources."""
    folder = home or default_home()
    try:
        made_of = (folder / _FINGERPRINT).read_text()
    except OSError:
        return None
    return folder if made_of == fingerprint() else None


def default_home() -> Path:
    """Name the folder of the compiled copy: in the environment that runs this."""
    return Path(sys.prefix) / "spanmeter-compiled"


def compile_relay(home: Path | None = None) -> Path:
    """Compile, which takes a minute; replaces an older copy at once. Raises `CannotCompile`."""
    if importlib.util.find_spec("mypyc") is None:
        raise CannotCompile("mypy is not installed: pip install './gateway[compile]' in a clone")
    folder = home or default_home()
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="spanmeter-compiling-") as made:
            copy = Path(made) / "copy"
            for source in SOURCES:
                shutil.copytree(
                    source, copy / source.name, ignore=shutil.ignore_patterns("__pycache__", "*.so")
                )
            _run_mypyc(copy)
            (copy / _FINGERPRINT).write_text(fingerprint())
            shutil.rmtree(folder, ignore_errors=True)
            copy.rename(folder)
    except OSError as error:
        raise CannotCompile(f"{folder.parent} cannot be written: {error.strerror}") from error
    return folder


def fingerprint() -> str:
    """Tell these sources, on this Python, from all others."""
    digest = hashlib.sha256(str(sysconfig.get_config_var("SOABI")).encode())
    for path in _files():
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _run_mypyc(copy: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypyc", *_MYPY_FLAGS, *MODULES],
        cwd=copy,
        env={**os.environ, "MYPYC_OPT_LEVEL": "2", "MYPYC_DEBUG_LEVEL": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        shown = "\n".join(done.stdout.splitlines()[-_SHOWN_LINES:])
        raise CannotCompile(
            "mypyc failed; it needs a C compiler and Python's headers (on Debian: apt-get install "
            f"gcc python3-dev). The relay runs without it, at half the speed.\n{shown}"
        )
    for left in ("build", ".mypy_cache"):
        shutil.rmtree(copy / left, ignore_errors=True)


def _files() -> Iterator[Path]:
    for source in SOURCES:
        yield from sorted(source.rglob("*.py"))
