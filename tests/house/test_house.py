"""The rules of the house that no linter knows: budgets, names, exemptions and their reasons."""

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from tests.components import require

ROOT = Path(__file__).parents[2]
SOURCE_FOLDERS = (ROOT / "instrumentation/src", ROOT / "gateway/src")
SOURCES = sorted(file for folder in SOURCE_FOLDERS for file in folder.rglob("*.py"))
FILE_LINES = 400
FUNCTION_LINES = 50

HIDING_WORDS = frozenset(
    (
        *("util", "utils", "helper", "helpers", "common", "misc", "base", "manager", "handler"),
        *("service", "processor", "data", "info"),
    )
)
"""Each hides the noun that would say what the thing is."""
NAMES_OF_OTHERS = {
    "data_received": "asyncio.Protocol",
    "_translate_data": "the OTLP exporter's hook",
    "_count_data": "the OTLP exporter's hook",
    "data_of": "the `data` field of server-sent events",
    "join_base": "base URL is the usual word",
    "base_path": "base URL is the usual word",
    "service_tier": "OpenAI's `service_tier`",
}

BROAD_EXCEPTS = {
    "books/guard.py": 1,
    "decorating.py": 2,
    "observing.py": 1,
    "relay/call.py": 2,
    "relay/meter.py": 2,
}
"""A call and the books go on whatever our own code does; nowhere else."""

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
SUPPRESSION = re.compile(
    r"#\s*(?:noqa|type: ignore|pragma:)"  # what silences a tool,
    r"(?!:? ?(?:[A-Z]+\d+,? ?)*(?:\[[\w, -]+\])?\s*(?:- |# )\w)"  # without a reason behind it
)
NOT_OURS = re.compile(r"/recordings/|^fuzz/(?:corpus|crashes)/")
"""The words of providers, and of nobody."""
HOME_FOLDER = re.compile(r"(?<![\w.{}$])/(?:home|root|Users|work)/\w")
INDEX_HOST = re.compile(
    r"[p]ypi\.org|[p]ythonhosted\.org|[n]pmjs\.(?:org|com)|[p]roxy\.golang\.org"
)


def place(file: Path, line: int) -> str:
    return f"{file.relative_to(ROOT)}:{line}"


def inside(file: Path) -> str:
    """Name a file within its package."""
    return str(Path(*file.relative_to(ROOT).parts[3:]))


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def nodes() -> Iterator[tuple[Path, ast.AST]]:
    return ((file, node) for file in SOURCES for node in ast.walk(tree(file)))


def definitions() -> Iterator[tuple[Path, Definition]]:
    return ((file, node) for file, node in nodes() if isinstance(node, Definition))


def words(name: str) -> set[str]:
    """Split snake_case and CamelCase."""
    return set(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_"))


@cache
def project_texts() -> dict[str, str]:
    """Read every text file that belongs to the project; recordings are their providers' words."""
    listed = subprocess.run(
        # safe.directory: a checkout may be another user's, as in a container.
        [require("git"), "-c", "safe.directory=*", "ls-files", "-zco", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    names = [name for name in listed.stdout.split("\0") if name and not NOT_OURS.search(name)]
    contents = {name: (ROOT / name).read_bytes() for name in names if (ROOT / name).is_file()}
    return {name: text.decode() for name, text in contents.items() if b"\0" not in text}


def found(pattern: re.Pattern[str], suffix: str = "") -> list[str]:
    """List the places in the project where a pattern stands."""
    return [
        f"{name}:{number}: {line.strip()}"
        for name, text in project_texts().items()
        if name.endswith(suffix)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_is_over_its_budget() -> None:
    lines = {file: len(file.read_text().splitlines()) for file in SOURCES}

    assert [place(file, count) for file, count in lines.items() if count > FILE_LINES] == []


def test_no_function_is_over_its_budget() -> None:
    assert [
        f"{place(file, node.lineno)} {node.name}"
        for file, node in definitions()
        if not isinstance(node, ast.ClassDef)
        and (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES
    ] == []


def test_no_name_hides_a_noun() -> None:
    defined = [(place(file, node.lineno), node.name) for file, node in definitions()]
    files = [(place(file, 1), file.stem) for file in SOURCES]

    hiding = {(at, name) for at, name in defined + files if words(name) & HIDING_WORDS}

    assert {(at, name) for at, name in hiding if name not in NAMES_OF_OTHERS} == set()
    assert {name for _, name in hiding} >= NAMES_OF_OTHERS.keys()


def test_broad_excepts_stand_where_they_are_listed() -> None:
    broad = Counter(
        inside(file)
        for file, node in nodes()
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"})
    ) + Counter(  # what leaves a `with` block as if nothing had happened is one too
        inside(file)
        for file, node in definitions()
        if node.name == "__exit__" and ast.unparse(node.returns or node) == "bool"
    )

    assert broad == BROAD_EXCEPTS


def test_nothing_prints() -> None:
    calls = [(file, node) for file, node in nodes() if isinstance(node, ast.Call)]

    assert [
        place(file, node.lineno) for file, node in calls if ast.unparse(node.func) == "print"
    ] == []


def test_the_gateways_packages_export_nothing() -> None:
    packages = (ROOT / "gateway/src").rglob("__init__.py")

    assert [str(file) for file in packages if file.read_text()] == []


def test_every_exemption_from_a_tool_says_why() -> None:
    assert found(SUPPRESSION, ".py") == []


@pytest.mark.parametrize(
    ("line", "is_bare"),
    [
        ("x = 1  {} noqa", True),
        ("x = 1  {} noqa: N802", True),
        ("x = 1  {} noqa: N802, FBT001", True),
        ("x = 1  {} type: ignore[arg-type]", True),
        ("x = 1  {} noqa: N802 - its name", False),
        ("x = 1  {} noqa: N802, FBT001 - its name", False),
        ("x = 1  {} type: ignore[arg-type]  # as it is", False),
    ],
)
def test_a_reason_is_told_from_none(line: str, *, is_bare: bool) -> None:
    # The mark is put in here, or these lines would be exemptions themselves.
    assert bool(SUPPRESSION.search(line.format("#"))) is is_bare


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    assert HOME_FOLDER.search(f"see /{'home'}/ada/notes")
    assert found(HOME_FOLDER) == []


def test_no_file_names_a_package_index() -> None:
    assert INDEX_HOST.search(f"https://{'pypi'}.org/simple")
    assert found(INDEX_HOST) == []


def test_every_requirement_is_pinned_exactly_in_order() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()

    names = [line.partition("==")[0].lower() for line in lines]

    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    assert names == sorted(names)
