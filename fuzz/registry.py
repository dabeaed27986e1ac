"""All targets, by name; each is imported when it is asked for, with what it fuzzes and no more."""

import importlib

from fuzz.target import Target

NAMES = (
    "requests",
    "provider",
    "answers",
    "events",
    "bodies",
    "codings",
    "tags",
    "contexts",
    "addresses",
    "configuration",
    "segments",
    "exposition",
)


def load(name: str) -> Target:
    """Import a target."""
    target = importlib.import_module(f"fuzz.targets.{name}").TARGET
    assert isinstance(target, Target)
    return target
