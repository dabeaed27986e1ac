"""Prometheus text: any label value comes back from Prometheus' own parser as it went in.

An input is feature, task, tag, model and error type, a line each.
"""

from collections.abc import Iterator

from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_classic
from tests.gateway.telemetry.samples import BILL, a_receipt

from fuzz.target import Target
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.exposition import print_text
from spanmeter_gateway.telemetry.registry import Registry
from spanmeter_gateway.telemetry.spans import SpanEncoder

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
SEPARATOR = "\0"
"""A control character, which no value of a header has."""


def check(raw: bytes) -> None:
    """Print one receipt, and read the page as Prometheus would."""
    text = raw.decode("utf-8", "replace")
    feature, task, tag, model, error = [*text.split(SEPARATOR), *[""] * 5][:5]
    receipt = a_receipt(
        feature=feature or "untagged",
        task=task or None,
        tags=(("env", tag),),
        request_model=model,
        response_model=None,
        outcome="provider_error",
        error_type=error or "500",
    )
    registry = Registry()
    registry.enter(receipt, BILL)
    SpanEncoder().encode(receipt, BILL)

    calls_alone = [family for family in registry.collect() if family.metric is names.CALLS]
    classic, _ = print_text(calls_alone, [], None)
    modern, _ = print_text(calls_alone, [], OPENMETRICS)

    limit = names.MAX_LABEL_CHARS
    wanted = {
        "spanmeter_feature": (feature or "untagged")[:limit],
        "spanmeter_task": task[:limit],
        "spanmeter_tag_env": tag[:limit],
        "error_type": (error or "500")[:limit],
    }
    for families in (read_classic(classic.decode()), read_openmetrics(modern.decode())):
        calls = [
            sample.labels
            for family in families
            for sample in family.samples
            if sample.name == "spanmeter_calls_total" and sample.labels["error_type"]
        ]
        assert any(wanted.items() <= labels.items() for labels in calls), "a label was altered"
        assert len({labels["spanmeter_feature"] for labels in calls}) == 1, "a line was put in"


def _seeds() -> Iterator[bytes]:
    yield b"checkout\0summary\0prod\0gpt-4o\x00500"
    yield b'a"b\\c\nd\0\\n\0" 1\n# EOF\n\0x{a="b"} 1\0\\"'
    yield "\u2028\0\x85\0\ufeff\0\U0001f600\0é".encode()


TARGET = Target(
    name="exposition",
    check=check,
    seeds=_seeds,
    words=(
        *(b"\0", b"\n", b"\r", b'"', b"\\", b"\\n", b'\\"', b"{", b"}", b"} 1\n", b"# EOF\n", b"#"),
        *(b'",le="1"', b" # {", b"NaN", b"\xc2\x85", b"\xe2\x80\xa8", b"__other__", b"=", b","),
    ),
    max_bytes=512,
)
