"""What the code offers stands in the documentation, and what the documentation says is true."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import typer
import yaml
from pydantic import BaseModel

from spanmeter import outcome
from spanmeter.attribution import AttributionRules, attribute
from spanmeter.usage import Usage
from spanmeter_gateway import cli, errors, receipt
from spanmeter_gateway.config import Config
from spanmeter_gateway.config_file import load
from spanmeter_gateway.config_schema import CredentialShape, FileShape
from spanmeter_gateway.errors import GatewayError
from spanmeter_gateway.relay import outcome as of_calls
from spanmeter_gateway.telemetry import documentation, names

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = (*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("*.md")))
SOURCES = sorted((ROOT / "gateway/src").rglob("*.py"))
NEVER_RAISED = {"GatewayError", "CallerError", "UpstreamError", "InvalidTag"}
"""Families, and the one error that takes its code from the light package."""
WITHOUT_DEFAULT = {
    "upstreams.NAME.provider",
    "upstreams.NAME.base_url",
    "upstreams.NAME.headers",
    "upstreams.NAME.models",
    "limits.connections_per_address",
    "upstreams.NAME.api_version",
    "upstreams.NAME.ca_file",
    "upstreams.NAME.max_connections",
    "upstreams.NAME.proxy",
    "upstreams.NAME.proxy_login",
    "attribution.bare_tag_key",
    "tls.cert_file",
    "tls.key_file",
    "gateway_keys",
    "books.token",
}


def page(name: str) -> str:
    return (DOCS / name).read_text()


def code(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def table(text: str, heading: str) -> list[list[str]]:
    """Read the rows of the first table under a heading, cells stripped."""
    lines = f"\n{text}".split(f"\n{heading}\n", 1)[1].splitlines()
    rows = [line for line in lines if line.startswith(("|", "#"))]
    end = next((place for place, row in enumerate(rows) if row.startswith("#")), len(rows))
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:end]]


def shape_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(shape_in, get_args(annotation))), None)


def keys(shape: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """List the dotted keys of a file; a credential is one value."""
    for name, field in shape.model_fields.items():
        inner = shape_in(field.annotation)
        if inner is None or inner is CredentialShape:
            yield prefix + name
            continue
        repeated = {dict: ".NAME", list: "[]"}.get(getattr(field.annotation, "__origin__", None))
        yield from keys(inner, f"{prefix}{name}{repeated or ''}.")


def leaves(family: type[GatewayError]) -> Iterator[type[GatewayError]]:
    for error in family.__subclasses__():
        if error.__module__ == errors.__name__:  # other tests make errors of their own
            yield error
            yield from leaves(error)


def nested(values: Iterable[tuple[str, str]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for key, text in values:
        *parents, leaf = key.split(".")
        place = document
        for parent in parents:
            place = place.setdefault(parent, {})
        place[leaf] = yaml.safe_load(text)
    return document


def test_every_configuration_key_is_documented_and_no_other() -> None:
    rows = table(page("configuration.md"), "# Configuration")

    documented = [key for row in rows for key in code(row[0])]

    assert sorted(documented) == sorted(keys(FileShape))


def test_the_documented_defaults_configure_what_no_file_configures(tmp_path: Path) -> None:
    rows = table(page("configuration.md"), "# Configuration")
    defaults = {key: code(row[1])[-1] for row in rows for key in code(row[0]) if code(row[1])}
    own = {"provider": "own", "base_url": "http://localhost:1"}
    document = nested(defaults.items())
    document["upstreams"] = {"own": document["upstreams"]["NAME"] | own}
    written, bare = tmp_path / "written.yaml", tmp_path / "bare.yaml"
    written.write_text(yaml.safe_dump(document))
    bare.write_text(yaml.safe_dump({"upstreams": {"own": own}}))

    config = load(written, {})

    assert config == load(bare, {})
    undocumented = {key for key in keys(FileShape) if key not in defaults}
    assert {key for key in undocumented if not key.startswith("prices")} == WITHOUT_DEFAULT


def test_the_gateway_without_a_file_is_the_default_configuration() -> None:
    config = load(None, {"SPANMETER_WORKERS": str(Config().workers)})

    assert config == Config()


@pytest.mark.parametrize(
    "shape",
    [
        receipt.Receipt,
        receipt.Attempt,
        receipt.Trace,
        Usage,
        receipt.OpenCall,
        receipt.SegmentHeader,
    ],
)
def test_every_field_of_the_receipt_is_documented_in_order(shape: type[msgspec.Struct]) -> None:
    rows = table(page("receipt.md"), f"## {shape.__name__}")

    documented = [name for row in rows for name in code(row[0])]

    assert documented == [field.name for field in msgspec.structs.fields(shape)]


def test_the_metrics_page_is_what_the_names_say() -> None:
    assert page("metrics.md") == documentation.page()


def test_every_metric_stands_on_the_metrics_page() -> None:
    documented = set(code(page("metrics.md")))

    assert {metric.prometheus_name for metric in names.METRICS} <= documented


def test_every_health_metric_has_advice() -> None:
    of_calls = re.compile(
        r"spanmeter_(calls|call|attempts|passthrough|tokens|cost|operation_cost)_|gen_ai_|http_"
    )
    advised = {name.partition("{")[0] for name in code(page("operations.md"))}

    health = {name for name in names.METRIC_BY_NAME if not of_calls.match(name)}

    assert health | {names.REQUESTS_ACTIVE.prometheus_name} <= advised


def test_every_metric_that_a_page_names_exists() -> None:
    named = {
        name
        for file in PAGES
        for name in re.findall(
            r"\b(?:spanmeter|gen_ai_client)_\w+_(?:total|seconds)\b", file.read_text()
        )
    }

    assert named <= set(names.METRIC_BY_NAME)


def test_every_error_is_documented_with_its_status_and_type() -> None:
    rows = table(page("errors.md"), "## Answers")
    raised = [error for error in leaves(GatewayError) if error.__name__ not in NEVER_RAISED]
    answered = [error for error in raised if not issubclass(error, errors.StartError)]
    of_commands = {errors.BooksUnreachable, errors.CannotCompile, errors.StaleRules}
    never_answered = {errors.StreamInterrupted, *of_commands}

    documented = {(*code(row[1]), *code(row[2]), row[0]) for row in rows}

    assert documented >= {
        (error.code, error.type, str(error.status))
        for error in answered
        if error not in never_answered
    }
    assert {error.code for error in raised} <= set(code(page("errors.md")))


def test_every_error_type_is_documented() -> None:
    named = {**vars(outcome), **vars(of_calls)}.values()
    verdicts = [value for value in named if isinstance(value, outcome.Verdict)]
    ours = {verdict.error_type for verdict in verdicts if verdict.error_type is not None}

    documented = set(code(page("errors.md").split("\n## error_type\n")[1]))

    assert ours | outcome.KNOWN_CODES | {"relay_lost", "_OTHER"} <= documented


def test_every_command_is_documented() -> None:
    commands = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]  # a group's

    text = "".join(file.read_text() for file in PAGES)

    assert [name for name in commands if f"spanmeter {name}" not in text] == []


def test_every_variable_that_the_code_reads_is_documented() -> None:
    read = {
        name
        for file in SOURCES
        for name in re.findall(r'"((?:SPANMETER|OTEL)_[A-Z_]+)"', file.read_text())
    }

    assert read - set(code(page("configuration.md"))) == set()


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_every_link_leads_somewhere(file: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]*)(#[^)\s]*)?\)", file.read_text())

    missing = [
        (target, anchor)
        for target, anchor in links
        if "://" not in target and not _exists(file.parent / target if target else file, anchor)
    ]

    assert missing == []


def _exists(path: Path, anchor: str) -> bool:
    if not path.exists() or not anchor:
        return path.exists()
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return anchor in {
        "#" + re.sub(r"[^\w -]", "", text).lower().replace(" ", "-") for text in headings
    }


def test_every_page_is_reached_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()

    assert [file.name for file in DOCS.glob("*.md") if f"docs/{file.name}" not in readme] == []


EXAMPLES = table(page("attribution.md"), "## Examples")


@pytest.mark.parametrize("row", EXAMPLES, ids=lambda row: row[0])
def test_the_examples_of_attribution_are_true(row: list[str]) -> None:
    sent = [text.partition(":")[::2] for text in code(row[0])]
    headers = [(name.lower().encode(), value.encode()) for name, value in sent if name != "body"]
    body_tags = next((json.loads(value) for name, value in sent if name == "body"), None)

    read = attribute(headers, body_tags, AttributionRules())

    assert [
        [read.feature],
        [read.task] if read.task else [],
        [f"{key}:{value}" for key, value in read.tags],
        [reason for reason, _ in read.drops],
    ] == [code(cell) for cell in row[1:]]
