"""Every regular expression that meets foreign text takes time in proportion to it."""

import importlib
import re
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {
    "spanmeter": ROOT / "instrumentation/src",
    "spanmeter_gateway": ROOT / "gateway/src",
}
SIZE = 65_536
HANG_S = 5.0
"""Linear ones take milliseconds here, quadratic ones minutes, exponential ones for ever."""
SEEDS = (
    *("a", "A", "0", ".", "-", "a.", "a-", "a:", "/", "//", "a/", "%2e", "%2e%2e/", "../", "é"),
    *(" ", "\t", "\r", "\n", "\r\n", "\r\r", "\n\n", ",", " ,", ":", ": ", '"', '"a', 'a"', '\\"'),
    *("\\", "\\\\", "\\u", "\\u0061", "[", "]", "{", "}", "{}", "[]", '"a":', '"a" ', '"":"",'),
    *('"choices":[', '"choices" ', '"choices":[ ', '"model" ', '"model":" ', '"error" ', '"error"'),
    *('"finish_reason" ', '"finish_reason":n', '"usage" ', '"usage":n', '"usage" d ', '"message_'),
    *(
        '"response.',
        '"finishReason',
        "data: ",
        "data:",
        "event: ",
        "id",
        '"id":',
        "b'",
        "key=",
        "&",
    ),
    *("&key=a", "/models/a:", "/a:b/", "/deployments/", "/engines/", "http://", "https://a", "sk-"),
    *("=", "a=", "a=b", "a=b,", "00-", "f" * 32 + "-", "1.", "1.5 ", "5", "(", "\0", "\x85", "_"),
)
"""Each is repeated to the size, and tried before an end that fails too."""
ENDS = ("", "!")


def modules() -> Iterator[ModuleType]:
    for package, folder in SOURCES.items():
        for file in sorted((folder / package).rglob("*.py")):
            if "re.compile(" in file.read_text():
                name = ".".join(file.relative_to(folder).with_suffix("").parts)
                yield importlib.import_module(name)


def patterns(value: Any) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from patterns(each)


def methods(name: str) -> list[str]:
    """List how an expression is used; those in a tuple are used by its user's loop."""
    text = "".join(
        file.read_text()
        for package, folder in SOURCES.items()
        for file in (folder / package).rglob("*.py")
    )
    used = set(re.findall(rf"\b{name}\.(match|search|fullmatch|sub|finditer|findall)\b", text))
    return sorted(used) or ["search"]


EVERY = [
    (f"{module.__name__.partition('.')[2]}.{name}", pattern, method)
    for module in modules()
    for name, value in vars(module).items()
    for pattern in patterns(value)
    for method in methods(name)
]


def run(pattern: re.Pattern[Any], method: str, text: Any) -> None:
    arguments = (text[:0], text) if method == "sub" else (text,)
    result = getattr(pattern, method)(*arguments)
    if method == "finditer":
        next(result, None)


def slowest(pattern: re.Pattern[Any], method: str) -> tuple[float, str]:
    """Find the input that takes longest; gives up at the first that takes too long."""
    worst = (0.0, "")
    for seed, end in product(SEEDS, ENDS):
        text: Any = seed * (SIZE // len(seed)) + end
        began = time.perf_counter()
        run(pattern, method, text if isinstance(pattern.pattern, str) else text.encode())
        worst = max(worst, (time.perf_counter() - began, f"{seed!r} {end!r}"))
        if worst[0] > HANG_S:
            break
    return worst


def test_every_expression_is_a_constant_of_its_module() -> None:
    written = sum(
        len(re.findall(r"(?<!_)\bre\.compile\(", file.read_text()))
        for package, folder in SOURCES.items()
        for file in (folder / package).rglob("*.py")
    )
    used = [
        str(file.relative_to(folder))
        for package, folder in SOURCES.items()
        for file in (folder / package).rglob("*.py")
        if re.search(r"\bre\.(match|search|fullmatch|findall|finditer|split)\(", file.read_text())
    ]

    assert len({pattern for _, pattern, _ in EVERY}) >= written * 0.9
    assert used == []


@pytest.mark.parametrize(
    ("pattern", "method"),
    [(pattern, method) for _, pattern, method in EVERY],
    ids=[f"{name}.{method}" for name, _, method in EVERY],
)
def test_no_input_keeps_an_expression_busy(pattern: re.Pattern[Any], method: str) -> None:
    took, text = slowest(pattern, method)

    assert took < HANG_S, text
