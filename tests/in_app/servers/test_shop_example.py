"""The example as a reader runs it: it ends by itself, having shown its calls and what arrived."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

SHOP = Path(__file__).parents[3] / "examples/shop.py"
WAIT_S = 150
CALLS = Counter(
    {
        ("support-chat", "classification", "env:demo,team:support,plan:gold"): 1,
        ("support-chat", "generation", "env:demo,team:support,plan:gold"): 1,
        ("upsell", "recommendation", "env:demo,team:support,plan:gold"): 1,
        ("search", "embedding", "env:demo"): 1,
        ("search", "ranking", "env:demo"): 1,
        ("returns", "-", "env:demo"): 1,
        ("filing", "-", "env:demo,team:finance"): 1,
        ("untagged", "-", "env:demo"): 1,
    }
)
ATTRIBUTION = r"([\w-]+) / ([\w-]+)  (\S+)"


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What it prints: its calls, the traces, the metrics."""
    folder = tmp_path_factory.mktemp("shop")
    names = (name for name in os.environ if not name.startswith(("OTEL_", "SPANMETER_")))
    ended = subprocess.run(
        [sys.executable, SHOP],
        cwd=folder,
        env={name: os.environ[name] for name in names} | {"TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert list(folder.iterdir()) == []
    parts = re.split("Traces that arrived|Metrics that arrived", ended.stdout)
    assert len(parts) == 3
    return parts


def test_each_call_says_what_it_is_for(parts: list[str]) -> None:
    assert Counter(re.findall(rf"call \S+ +{ATTRIBUTION}", parts[0])) == CALLS


def test_each_call_arrives_as_a_span_below_the_request_that_it_serves(parts: list[str]) -> None:
    trees = [tree for tree in re.split(r"^shop: GET ", parts[1], flags=re.MULTILINE)[1:]]

    assert Counter(re.findall(rf"ms  {ATTRIBUTION}", parts[1])) == CALLS
    assert {tree.split()[0]: tree.count("tokens") for tree in trees} == {
        "/chat/{customer}": 3,
        "/search": 2,
        "/orders/{order}/return": 2,
        "/about": 1,
    }


def test_each_call_arrives_in_the_metrics(parts: list[str]) -> None:
    counted: Counter[tuple[str, str]] = Counter()
    for feature, task, calls in re.findall(
        r"^ ([\w-]+) +([\w-]+) +\S+ +\S+ +(\d+) ", parts[2], re.M
    ):
        counted[feature, task] += int(calls)

    assert counted == Counter((feature, task) for feature, task, _ in CALLS)
