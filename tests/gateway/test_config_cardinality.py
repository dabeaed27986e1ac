from pathlib import Path

import pytest

from spanmeter_gateway.config import Config
from spanmeter_gateway.config_file import load
from spanmeter_gateway.errors import ConfigError
from spanmeter_gateway.telemetry.budgets import Budgets, Pinned

EVERYTHING = """
tags: {labels: [env, region]}
cardinality:
  features: 20
  tasks: 10
  models: 30
  tag_values: 2
  series: 4000
  pinned:
    features: [checkout, search, checkout]
    tasks: [summarise]
    models: [gpt-4o-mini]
    tags: {env: [prod, test]}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("spanmeter.yaml")


def test_every_budget_and_pin_reaches_the_configuration(file: Path) -> None:
    file.write_text(EVERYTHING)

    config = load(file, {})

    assert config.cardinality == Budgets(
        features=20,
        tasks=10,
        models=30,
        tag_values=2,
        series=4000,
        pinned=Pinned(
            features=("checkout", "search"),
            tasks=("summarise",),
            models=("gpt-4o-mini",),
            tags={"env": ("prod", "test")},
        ),
    )
    assert Config.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{features: 0}", "cardinality.features: must be over 0"),
        ("{tag_values: 2.5}", "cardinality.tag_values: must be a whole number"),
        ("{series: 999}", "cardinality.series: must be at least 1000"),
        ("{feature: 3}", "cardinality.feature: unknown key; did you mean features?"),
        ("{pinned: {task: [a]}}", "cardinality.pinned.task: unknown key; did you mean tasks?"),
        ("{pinned: {models: ['']}}", "cardinality.pinned.models[0]: must not be empty"),
        ("{pinned: {tags: {env: prod}}}", "cardinality.pinned.tags.env: must be a list"),
        (
            "{features: 1, pinned: {features: [a, b]}}",
            "cardinality.pinned.features: pins 2 values, and cardinality.features has room for 1",
        ),
        (
            "{tag_values: 1, pinned: {tags: {env: [a, b]}}}",
            "cardinality.pinned.tags.env: pins 2 values, and cardinality.tag_values has room for 1",
        ),
        (
            "{pinned: {tags: {region: [eu]}}}",
            "cardinality.pinned.tags.region: region is not one of tags.labels",
        ),
    ],
)
def test_a_wrong_budget_is_named_with_file_and_key(file: Path, text: str, problem: str) -> None:
    file.write_text(f"cardinality: {text}")

    with pytest.raises(ConfigError) as refused:
        load(file, {})

    assert str(refused.value).splitlines() == [f"spanmeter.yaml: {problem}"]
