"""What the two packages need, and what they are built and tested with, may be used by anybody."""

import os
from collections.abc import Iterator
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/licences.md"
OURS = ("spanmeter", "spanmeter-gateway")
PERMISSIVE = {
    *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CNRI-Python", "ISC", "MIT", "MIT-0"),
    "PSF-2.0",
}
SPDX_BY_TEXT = {
    "Apache 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD 2-Clause License": "BSD-2-Clause",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "Dual License": "Apache-2.0 OR BSD-3-Clause",  # python-dateutil: its classifiers say of which
    "ISC License": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "New BSD": "BSD-3-Clause",
}
"""What packages wrote before there were SPDX expressions (PEP 639)."""
FILE_LEVEL = {
    "certifi": "a list of certificate authorities, used as it is",
    "hypothesis": "a tool for tests, no part of what runs",
    "orjson": "needed by LangChain, which tests alone use",
    "pathspec": "a tool of mypy's, no part of what runs",
}
"""MPL-2.0 binds changes of its own files alone, and nothing of these is changed."""


def needed(roots: Iterator[Requirement]) -> dict[str, Distribution]:
    """Follow requirements as they apply here; what is not installed is not needed here."""
    found: dict[str, Distribution] = {}
    waiting = list(roots)
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue
        for text in found[name].requires or ():
            inner = Requirement(text)
            extras = requirement.extras or {""}
            if inner.marker is None or any(inner.marker.evaluate({"extra": e}) for e in extras):
                waiting.append(inner)
    return {name: each for name, each in found.items() if name not in OURS}


@cache
def at_run_time() -> dict[str, Distribution]:
    return needed(iter(Requirement(name) for name in OURS))


@cache
def in_development() -> dict[str, Distribution]:
    lines = (ROOT / "requirements-dev.txt").read_text().splitlines()
    wanted = [Requirement(line) for line in lines if line and not line.startswith("#")]
    extra = [Requirement("spanmeter-gateway[compile]")]
    running = at_run_time()
    found = needed(iter(wanted + extra))
    return {name: each for name, each in found.items() if name not in running}


def licence(each: Distribution) -> str:
    """Write a distribution's licence as an SPDX expression, as far as it says."""
    fields = each.metadata
    if expression := fields.get("License-Expression"):
        return expression
    classified = [
        line.rpartition(" :: ")[2]
        for line in fields.get_all("Classifier") or ()
        if line.startswith("License :: ") and "DFSG" not in line
    ]
    text = fields.get("License") or " OR ".join(classified)
    title = text.partition("\n")[0]  # some write the whole text of it
    return SPDX_BY_TEXT.get(title, title)


def is_permissive(name: str, expression: str) -> bool:
    """Say whether every part of it is permissive, or leaves a choice that is."""
    fine = PERMISSIVE | {"MPL-2.0"} if name in FILE_LEVEL else PERMISSIVE
    return all(
        any(choice.strip(" ()") in fine for choice in part.split(" OR "))
        for part in expression.split(" AND ")
    )


def page() -> str:
    """Write the page."""
    out = [
        "# Licences",
        "",
        "Spanmeter is under the [Apache License 2.0](../LICENSE). What it needs is permissive, but "
        "for packages under MPL-2.0, whose terms",
        "reach their own files alone. This page is made from the installed packages by "
        "`tests/house/test_licences.py`, which fails for",
        "any other licence; `SPANMETER_WRITE_DOCS=1` makes it anew.",
    ]
    for heading, packages in (
        ("At run time", at_run_time()),
        ("For tests, checks and compiling", in_development()),
    ):
        out += ["", f"## {heading}", "", "| package | version | licence |", "| --- | --- | --- |"]
        out += [
            f"| {name} | {each.version} | {licence(each)}"
            + (f" ({FILE_LEVEL[name]})" if name in FILE_LEVEL else "")
            + " |"
            for name, each in sorted(packages.items())
        ]
    return "\n".join(out) + "\n"


def test_every_package_is_permissive() -> None:
    packages = at_run_time() | in_development()
    licences = {name: licence(each) for name, each in packages.items()}

    assert {"uvicorn", "certifi", "pytest", "h11"} <= set(licences)
    assert {name: text for name, text in licences.items() if not is_permissive(name, text)} == {}


@pytest.mark.parametrize(
    ("expression", "is_fine"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("Apache-2.0 AND BSD-2-Clause", True),
        ("MPL-2.0", False),
        ("", False),
    ],
)
def test_a_licence_that_binds_others_is_told_from_one_that_does_not(
    expression: str, *, is_fine: bool
) -> None:
    assert is_permissive("any", expression) is is_fine


def test_the_page_lists_what_is_installed() -> None:
    if os.environ.get("SPANMETER_WRITE_DOCS"):
        PAGE.write_text(page())

    assert PAGE.read_text() == page()
