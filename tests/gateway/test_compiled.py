"""The compiled relay: used when it was made of these sources, and by the processes that serve."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.components import require_compiled
from tests.gateway_process import GatewayProcess

from spanmeter_gateway import compiled
from spanmeter_gateway.errors import CannotCompile


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A copy that claims to be made of the sources as they are."""
    folder = tmp_path / "copy"
    folder.mkdir()
    (folder / "FINGERPRINT").write_text(compiled.fingerprint())
    return folder


def test_a_copy_of_these_sources_comes_first_for_a_relay(home: Path) -> None:
    inherited = {"PYTHONPATH": "/elsewhere", "LANG": "C"}

    assert compiled.environ(inherited, home) == {
        "PYTHONPATH": f"{home}{os.pathsep}/elsewhere",
        "LANG": "C",
    }


def test_a_copy_of_other_sources_is_left_alone(home: Path) -> None:
    (home / "FINGERPRINT").write_text("of an older release")

    assert compiled.find(home) is None
    assert compiled.environ({"LANG": "C"}, home) == {"LANG": "C"}


def test_without_a_copy_relays_run_the_sources(tmp_path: Path) -> None:
    assert compiled.environ({"LANG": "C"}, tmp_path / "nothing") == {"LANG": "C"}


def test_every_module_to_compile_is_there() -> None:
    roots = {source.name: source.parent for source in compiled.SOURCES}

    missing = [name for name in compiled.MODULES if not (roots[name.split("/")[0]] / name).exists()]

    assert missing == []


def test_no_function_to_compile_gives_two_kinds_of_error_one_name() -> None:
    """mypyc gives a name one type: a second `except ... as error` may raise `TypeError`."""
    roots = {source.name: source.parent for source in compiled.SOURCES}
    trees = [ast.parse((roots[name.split("/")[0]] / name).read_text()) for name in compiled.MODULES]
    functions = [
        node
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]

    assert [each.name for each in functions if has_twice(caught_names(each))] == []


def caught_names(function: ast.AST) -> list[str]:
    handlers = [node for node in ast.walk(function) if isinstance(node, ast.ExceptHandler)]
    return [handler.name for handler in handlers if handler.name]


def has_twice(names: list[str]) -> bool:
    return len(names) > len(set(names))


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotCompile, match="nowhere cannot be written: No such file or directory"):
        compiled.compile_relay(tmp_path / "nowhere" / "copy")


def test_the_relay_that_serves_is_the_compiled_one() -> None:
    home = require_compiled()

    with GatewayProcess() as gateway:
        mapped = {
            pid: str(home) in Path(f"/proc/{pid}/maps").read_text() for pid in gateway.child_pids
        }

    assert sorted(mapped.values()) == [False, True]  # books, relay


def test_the_command_says_where_it_is() -> None:
    home = require_compiled()

    done = subprocess.run(
        [sys.executable, "-m", "spanmeter_gateway.cli", "compile", "--where"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == f"{home}\n"
