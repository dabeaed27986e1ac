"""OpenAI's SDK for Node in the version that package.json names, installed once into the cache."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from tests.components import require

PACKAGE = Path(__file__).parent / "node" / "package.json"
INSTALL_S = 150


def node_modules() -> Path:
    """Return the folder for `NODE_PATH`; skips the test, or fails it, as `require` does."""
    npm = require("npm")
    version = json.loads(PACKAGE.read_bytes())["dependencies"]["openai"]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "spanmeter" / f"node-openai-{version}"
    if not folder.exists():
        _install(npm, folder)
    return folder


def _install(npm: Path, folder: Path) -> None:
    # Into a folder beside it first, so that an install that was cut short is never taken for done.
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
        shutil.copy(PACKAGE, unfinished)
        options = ("--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund")
        finished = subprocess.run(
            [str(npm), "install", *options],
            cwd=unfinished,
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_S,
        )
        if finished.returncode:
            _missing(finished.stderr)
        Path(unfinished, "node_modules").rename(folder)


def _missing(reason: str) -> None:
    if os.environ.get("SPANMETER_REQUIRE") == "all":
        pytest.fail(f"component openai for Node could not be installed:\n{reason}")
    pytest.skip("component openai for Node could not be installed")
