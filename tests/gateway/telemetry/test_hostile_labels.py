"""Whatever stands in a label is one label of one sample, to every reader of the text."""

import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_classic
from tests.components import require
from tests.fakes.hostile_texts import HOSTILE
from tests.gateway.telemetry.samples import BILL, a_receipt, an_attempt
from tests.prometheus_process import PrometheusProcess

from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.budgets import Budgets
from spanmeter_gateway.telemetry.exposition import render
from spanmeter_gateway.telemetry.registry import Registry

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
CALLS = names.CALLS.prometheus_name
LABELS = ("spanmeter_feature", "spanmeter_task", "spanmeter_tag_env", "gen_ai_request_model")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=120) | st.sampled_from(HOSTILE)


def registry_of(*texts: str) -> Registry:
    """Count one call for each text, which stands in every label that a caller can fill."""
    registry = Registry(("env",), budgets=Budgets(tag_values=500))
    for text in texts:
        receipt = a_receipt(
            feature=text, task=text, tags=(("env", text),), request_model=text,
            response_model=text, attempts=(an_attempt(model=text),),
        )  # fmt: skip
        registry.enter(receipt, BILL)
    registry.collect()
    return registry


def as_label(text: str) -> str:
    return text[: names.MAX_LABEL_CHARS]


def counted(text: str, *, is_openmetrics: bool = False) -> dict[tuple[str, ...], float]:
    """Read the calls that were counted, by the labels that a caller can fill."""
    read = read_openmetrics if is_openmetrics else read_classic
    sums: dict[tuple[str, ...], float] = {}
    for family in read(text):
        for sample in family.samples:
            if sample.name == CALLS and sample.value:
                key = tuple(sample.labels[label] for label in LABELS)
                sums[key] = sums.get(key, 0) + sample.value
    return sums


@given(text=TEXTS)
def test_any_text_comes_out_of_both_formats_as_it_went_in(text: str) -> None:
    registry = registry_of(text)

    classic = render(registry, None)[0].decode()
    openmetrics = render(registry, OPENMETRICS)[0].decode()

    expected = {(as_label(text),) * len(LABELS): 1.0}
    assert counted(classic) == expected
    assert counted(openmetrics, is_openmetrics=True) == expected


@pytest.fixture(scope="module")
def page() -> bytes:
    return render(registry_of(*HOSTILE), None)[0]


def test_promtool_reads_hostile_labels(page: bytes) -> None:
    checked = subprocess.run(
        [require("promtool"), "check", "metrics"], input=page, capture_output=True, timeout=30
    )

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


@pytest.fixture(scope="module")
def target() -> Iterator[str]:
    """Serve the page as the books do: in the format that is asked for."""
    registry = registry_of(*HOSTILE)

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body, content_type = render(registry, self.headers["accept"])
            self.send_response(200)
            self.send_header("content-type", content_type)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("program", ["prometheus", "prometheus3"])
def test_prometheus_reads_hostile_labels_as_they_are(target: str, program: str) -> None:
    with PrometheusProcess({"books": target}, program=program) as prometheus:
        prometheus.wait_scrapes(2, job="books")
        found = prometheus.query(f"{CALLS} > 0")

    seen = {tuple(sample.labels.get(label, "") for label in LABELS) for sample in found}
    assert seen == {(as_label(text),) * len(LABELS) for text in HOSTILE}
    assert sum(sample.value for sample in found) == len(HOSTILE)
