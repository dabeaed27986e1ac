"""Programs that some tests need and not every machine has: skipped by name, or demanded."""

import hashlib
import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

from spanmeter_gateway import compiled

_ROOT = Path(__file__).resolve().parent.parent
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spanmeter"
_FASTFORWARD = _ROOT / "tests/anomalies/fastforward"
_RECIPES = {
    "otelcol-spanmeter": ("otelcol", [_ROOT / "deploy/collector/builder.yaml"]),
    "prometheus3": ("prometheus3", [_ROOT / "tests/collector/prometheus3/go.mod"]),
    "fastforward": ("fastforward", [_FASTFORWARD / "go.mod", _FASTFORWARD / "main.go"]),
    "llama-index": ("llama-index", [_ROOT / "tests/in_app/llama_index/requirements.txt"]),
}
"""What is built or installed once: its folder in the cache, the files whose hash is the next one.

The script `build` beside each file builds it.
"""


def require(name: str) -> Path:
    """Return where a program is; skip the test naming it, or fail under SPANMETER_REQUIRE=all."""
    found = shutil.which(name) or _built(name)
    if found is not None:
        return Path(found)
    _lack(f"component {name} is not installed")


def require_compiled() -> Path:
    """Return where the compiled relay is; else as `require`."""
    found = compiled.find()
    if found is not None:
        return found
    _lack("the relay is not compiled, or its sources changed since: run `spanmeter compile`")


def _lack(what: str) -> NoReturn:
    if os.environ.get("SPANMETER_REQUIRE") == "all":
        pytest.fail(f"{what}, and everything is required")
    pytest.skip(what)


def _built(name: str) -> str | None:
    if name not in _RECIPES:
        return None
    folder, recipe = _RECIPES[name]
    key = hashlib.sha256(b"".join(file.read_bytes() for file in recipe)).hexdigest()
    return shutil.which(_CACHE / folder / key / name)
