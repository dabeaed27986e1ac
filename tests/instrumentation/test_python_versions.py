"""The package runs on Python 3.10 and later, of which this machine may have only one."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "instrumentation/src").rglob("*.py"))
OLDEST, NEWEST = "3.10", "3.14"
NEW_IN_3_11 = re.compile(r"(?<!\\)[*+?}]\+|\(\?>")
"""Possessive quantifiers and atomic groups: https://docs.python.org/3/whatsnew/3.11.html#re."""


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_mypy_accepts_the_package_as_of_another_python(version: str) -> None:
    # It knows which version has which name and syntax; those between the two lack nothing.
    mypy = (sys.executable, "-m", "mypy", "--python-version", version, "--package", "spanmeter")

    checked = subprocess.run(mypy, cwd=ROOT, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_syntax_is_newer_than_the_oldest_python(file: Path) -> None:
    major, minor = map(int, OLDEST.split("."))

    ast.parse(file.read_text(), filename=str(file), feature_version=(major, minor))


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_regular_expression_is_newer_than_the_oldest_python(file: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    written = [
        ast.unparse(call.args[0]) for call in calls if ast.unparse(call.func) == "re.compile"
    ]
    # As written: a literal's backslashes are twice there, which changes nothing here.
    assert [pattern for pattern in written if NEW_IN_3_11.search(pattern)] == []


def test_a_newer_expression_is_told_from_an_older_one() -> None:
    assert all(map(NEW_IN_3_11.search, ("a++b", "a*+", "a?+", "a{2}+", "(?>a)")))
    assert not any(map(NEW_IN_3_11.search, (r"\++", "[^/:?]+", "a+b*", "(?:a)+", "(?<!/)/+")))
