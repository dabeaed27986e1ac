"""Each promise of the security page names a test that exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security.md").read_text()
PROMISES = [
    line.strip("|").rpartition(" | ")
    for line in PAGE.split("\n## Promises\n")[1].split("\n## ")[0].splitlines()
    if line.startswith("| ") and not line.startswith(("| promise", "| ---"))
]


def test_the_page_makes_promises() -> None:
    assert len(PROMISES) >= 20
    assert len({promise for promise, _, _ in PROMISES}) == len(PROMISES)


@pytest.mark.parametrize(("promise", "_", "test"), PROMISES, ids=[row[0] for row in PROMISES])
def test_a_promise_names_a_test_that_exists(promise: str, _: str, test: str) -> None:
    found = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", test.strip())
    assert found is not None, promise

    tree = ast.parse((ROOT / found[1]).read_text())

    assert found[2] in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
