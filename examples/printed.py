"""How an example shows its calls, and the spans and metrics that arrived of them."""

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

import spanmeter

LABELS = ("spanmeter_feature", "spanmeter_task", "spanmeter_tag_team", "gen_ai_request_model")
HEADINGS = ("feature", "task", "team", "model")
console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)


@dataclass(frozen=True)
class Arrived:
    """One span as it arrived; ids in hexadecimal."""

    service: str
    name: str
    id: str
    parent: str
    start_ns: int
    end_ns: int
    said: dict[str, Any]

    @property
    def is_call(self) -> bool:
        """Is it the gateway's span of a call to a model?"""
        return "gen_ai.operation.name" in self.said


def arrived(export: ExportTraceServiceRequest) -> Iterator[Arrived]:
    """Read the spans of an OTLP request."""
    for group in export.resource_spans:
        service = _pairs(group.resource.attributes)["service.name"]
        for span in (span for scope in group.scope_spans for span in scope.spans):
            ids = span.span_id.hex(), span.parent_span_id.hex()
            times = span.start_time_unix_nano, span.end_time_unix_nano
            yield Arrived(service, span.name, *ids, *times, _pairs(span.attributes))


def _pairs(attributes: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None


def visit(path: str) -> None:
    """Announce a visit."""
    console.print(Text(f"\nGET {path}", style="bold"))


def call(path: str, said: spanmeter.Attribution) -> None:
    """Say what a call is for, as it is made."""
    tags = ",".join(f"{key}:{value}" for key, value in said.tags)
    console.print(f"  call {path:22}", _attribution(said.feature, said.task, tags))


def traces(spans: Sequence[Arrived]) -> None:
    """Draw each trace as a tree: what the shop did, and the gateway's spans where it called one."""
    console.print(Text("\nTraces that arrived", style="bold underline"))
    in_order = sorted(spans, key=lambda span: span.start_ns)
    known = {span.id for span in spans}
    for root in in_order:
        if root.parent not in known:
            console.print(_tree(root, in_order))


def _tree(span: Arrived, spans: Sequence[Arrived]) -> Tree:
    tree = Tree(_line(span), guide_style="dim")
    below = [each for each in spans if each.parent == span.id]
    for each in below:
        # A framework makes spans for much that calls no model: those are left out.
        if each.is_call or any(further.parent == each.id for further in spans):
            tree.children.append(_tree(each, spans))
    return tree


def _line(span: Arrived) -> Text:
    said = span.said
    line = Text(f"{span.service}: {span.name}  {(span.end_ns - span.start_ns) / 1e6:,.0f} ms  ")
    if span.is_call:
        tags = ",".join(said.get("spanmeter.tags", ()))
        feature, task = said["spanmeter.feature"], said.get("spanmeter.task")
        tokens_in = said.get("gen_ai.usage.input_tokens")
        tokens_out = said.get("gen_ai.usage.output_tokens", 0)
        line.append(_attribution(feature, task, tags))
        line.append(f"  {tokens_in} > {tokens_out} tokens", style="dim")
        line.append(f"  ${said.get('spanmeter.cost.amount', 0):.6f}", style="green")
    return line


def _attribution(feature: str, task: str | None, tags: str) -> Text:
    style = "dim" if feature == spanmeter.Attribution().feature else "cyan"
    return Text(f"{feature} / {task or '-'}", style=style).append(f"  {tags}", style="magenta")


def metrics(page: str) -> None:
    """Add up what `/metrics` says of each feature, task, team and model."""
    sums: dict[tuple[str, ...], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for sample in (s for family in text_string_to_metric_families(page) for s in family.samples):
        key = tuple(sample.labels.get(label, "") for label in LABELS)
        if sample.name == "spanmeter_tokens_total":
            sums[key][sample.labels["spanmeter_token_class"]] += sample.value
        elif sample.name in ("spanmeter_calls_total", "spanmeter_cost_usd_total"):
            sums[key][sample.name] += sample.value
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in HEADINGS:
        table.add_column(heading)
    for heading in ("calls", "tokens in", "tokens out", "cost USD"):
        table.add_column(heading, justify="right")
    for key, values in sorted(sums.items()):
        counts = values["spanmeter_calls_total"], values["input"], values["output"]
        cost = f"{values['spanmeter_cost_usd_total']:.6f}"
        table.add_row(*(each or "-" for each in key), *(f"{count:,.0f}" for count in counts), cost)
    console.print(Text("\nMetrics that arrived", style="bold underline"))
    console.print(table)
