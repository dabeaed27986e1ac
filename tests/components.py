"""Programs that some tests need and not every machine has: skipped by name, or demanded."""

import os
import shutil
from pathlib import Path

import pytest


def require(name: str) -> Path:
    """Return where a program is; skip the test naming it, or fail under SPANMETER_REQUIRE=all."""
    found = shutil.which(name)
    if found is not None:
        return Path(found)
    if os.environ.get("SPANMETER_REQUIRE") == "all":
        pytest.fail(f"component {name} is required and not installed")
    pytest.skip(f"component {name} is not installed")
