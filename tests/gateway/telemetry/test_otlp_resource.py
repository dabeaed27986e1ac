import os
import uuid
from pathlib import Path

import pytest

from spanmeter_gateway.telemetry.otlp_resource import kept_instance_id, resource_attributes


@pytest.fixture(autouse=True)
def _no_otel_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


def test_the_resource_is_ours_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod,team=a%20b")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "edge")

    attributes = resource_attributes("books-1")

    version = attributes.pop("service.version")
    assert (attributes, bool(version)) == (
        {
            "service.name": "edge", "service.instance.id": "books-1",
            "deployment.environment.name": "prod", "team": "a b",
        },
        True,
    )  # fmt: skip


def test_an_instance_keeps_its_id(tmp_path: Path):
    made = kept_instance_id(tmp_path / "instance")

    assert kept_instance_id(tmp_path / "instance") == made == str(uuid.UUID(made))


def test_two_instances_have_two_ids(tmp_path: Path):
    assert kept_instance_id(tmp_path / "one") != kept_instance_id(tmp_path / "other")


@pytest.mark.parametrize("text", ["", "no id", "\u00e9"])
def test_what_is_no_id_is_replaced(tmp_path: Path, text: str):
    (tmp_path / "instance").write_text(text, encoding="utf-8")

    made = kept_instance_id(tmp_path / "instance")

    assert (tmp_path / "instance").read_text() == f"{made}\n"
