import logging
from pathlib import Path

import pytest
from tests.gateway.telemetry.samples import BILL, START_NS, a_receipt

from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.cells import Exemplar, Reader
from spanmeter_gateway.telemetry.metric import MetricSettings
from spanmeter_gateway.telemetry.metric_deltas import Deltas
from spanmeter_gateway.telemetry.registry import Family, Point, Registry, SeriesRow

SENT = (names.SPANS.prometheus_name, ("sent",))
FAILED = (names.SPANS.prometheus_name, ("failed",))
CREATED_NS = START_NS


def spans(sent: int | None = None, failed: int | None = None, **changes: int) -> list[Family]:
    """Make the totals of one metric with up to two series."""
    totals = {"sent": sent, "failed": failed}
    created_at_ns = changes.get("created_at_ns", CREATED_NS)
    points = [
        Point((result,), [total], created_at_ns)
        for result, total in totals.items()
        if total is not None
    ]
    return [Family(names.SPANS, (names.RESULT,), points)]


def points(families: list[Family]) -> list[tuple[str, int, int]]:
    """List label, growth and start of each point."""
    return [
        (point.labels[0], point.numbers[0], point.created_at_ns)
        for family in families
        for point in family.points
    ]


def begin(folder: Path, families: list[Family] | None = None, now_ns: int = START_NS) -> Deltas:
    return Deltas(folder / "deltas.json", families or [], now_ns=now_ns)


def test_the_first_delta_of_a_series_counts_from_its_start(tmp_path: Path):
    deltas = begin(tmp_path)

    taken = deltas.take(spans(sent=7, failed=0), now_ns=START_NS + 5)

    assert points(taken) == [("sent", 7, CREATED_NS), ("failed", 0, CREATED_NS)]


def test_a_delta_counts_from_what_was_accepted_last(tmp_path: Path):
    deltas = begin(tmp_path)
    deltas.take(spans(sent=7, failed=2), now_ns=START_NS + 5)
    deltas.accept([SENT, FAILED])

    taken = deltas.take(spans(sent=10, failed=2), now_ns=START_NS + 9)

    assert points(taken) == [("sent", 3, START_NS + 5)]


def test_what_was_not_accepted_is_in_the_next_delta(tmp_path: Path):
    deltas = begin(tmp_path)
    deltas.take(spans(sent=7, failed=2), now_ns=START_NS + 5)
    deltas.accept([FAILED])
    deltas.take(spans(sent=8, failed=2), now_ns=START_NS + 6)

    taken = deltas.take(spans(sent=10, failed=2), now_ns=START_NS + 9)

    assert points(taken) == [("sent", 10, CREATED_NS)]


def test_a_restart_goes_on_from_what_was_accepted(tmp_path: Path):
    before = begin(tmp_path)
    before.take(spans(sent=7), now_ns=START_NS + 5)
    before.accept([SENT])
    before.save()

    after = begin(tmp_path, spans(sent=9), now_ns=START_NS + 100)

    taken = after.take(spans(sent=10), now_ns=START_NS + 109)
    assert points(taken) == [("sent", 3, START_NS + 5)]


def test_without_a_file_what_was_counted_before_is_not_sent(tmp_path: Path):
    deltas = begin(tmp_path, spans(sent=1000), now_ns=START_NS + 50)

    taken = deltas.take(spans(sent=1001), now_ns=START_NS + 60)

    assert points(taken) == [("sent", 1, START_NS + 50)]


def test_what_was_counted_before_is_not_sent_after_a_crash_either(tmp_path: Path):
    begin(tmp_path, spans(sent=1000), now_ns=START_NS + 50)

    after = begin(tmp_path, spans(sent=1003), now_ns=START_NS + 70)

    taken = after.take(spans(sent=1003), now_ns=START_NS + 80)
    assert points(taken) == [("sent", 3, START_NS + 50)]


def test_a_broken_file_is_told_and_begun_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "deltas.json").write_text('[["spanmeter_spans_total"')

    deltas = begin(tmp_path, spans(sent=5))

    assert points(deltas.take(spans(sent=6), now_ns=START_NS + 1)) == [("sent", 1, START_NS)]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_counters_that_began_again_are_other_series(tmp_path: Path):
    deltas = begin(tmp_path, spans(sent=1000))

    taken = deltas.take(spans(sent=2, created_at_ns=CREATED_NS + 9), now_ns=START_NS + 20)

    assert points(taken) == [("sent", 2, CREATED_NS + 9)]


def test_totals_that_went_back_are_waited_for(tmp_path: Path):
    deltas = begin(tmp_path)
    deltas.take(spans(sent=7), now_ns=START_NS + 5)
    deltas.accept([SENT])

    behind = deltas.take(spans(sent=5), now_ns=START_NS + 6)
    again = deltas.take(spans(sent=9), now_ns=START_NS + 8)

    assert (points(behind), points(again)) == ([], [("sent", 2, START_NS + 5)])


def test_an_exemplar_is_sent_once(tmp_path: Path):
    old = Exemplar("0" * 31 + "1", "0" * 15 + "1", 1, START_NS + 1)
    new = old._replace(at_ns=START_NS + 7)
    deltas = begin(tmp_path)
    deltas.take(spans(sent=7), now_ns=START_NS + 5)
    deltas.accept([SENT])

    seen = [
        deltas.take(
            [Family(names.SPANS, (names.RESULT,), [Point(SENT[1], [8], CREATED_NS, (exemplar,))])],
            now_ns=START_NS + 9,
        )[0].points[0].exemplars
        for exemplar in (old, new)
    ]  # fmt: skip

    assert seen == [(None,), (new,)]


def test_a_file_that_cannot_be_written_is_told_and_deltas_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    folder = tmp_path / "data"
    folder.mkdir()
    deltas = begin(folder)
    deltas.take(spans(sent=7), now_ns=START_NS + 5)
    deltas.accept([SENT])
    (folder / "deltas.json").unlink()
    folder.rmdir()

    deltas.save()

    assert points(deltas.take(spans(sent=8), now_ns=START_NS + 9)) == [("sent", 1, START_NS + 5)]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def collected(
    rows: list[SeriesRow], tag_keys: tuple[str, ...], *switches: str
) -> tuple[Registry, list[Family]]:
    registry = Registry(tag_keys, settings=MetricSettings(switches=frozenset(switches)))
    registry.restore(rows)
    return registry, registry.collect(Reader.NONE)


def growth(families: list[Family], metric: names.Metric) -> list[tuple[tuple[str, ...], int]]:
    """List the label values of a counter's points that have any, and their growth."""
    return [
        (tuple(filter(None, point.labels)), point.numbers[0])
        for family in families
        if family.metric is metric
        for point in family.points
    ]


def test_deltas_go_on_when_a_tag_is_no_label_any_more(tmp_path: Path):
    registry, families = collected([], ("env", "team"))
    before = begin(tmp_path, families)
    for team in ("a", "b"):
        registry.enter(a_receipt(tags=(("env", "prod"), ("team", team))), BILL)
    taken = before.take(registry.collect(Reader.NONE), now_ns=START_NS + 5)
    before.accept(
        (family.metric.prometheus_name, point.labels) for family in taken for point in family.points
    )
    before.save()
    rows = registry.changed()

    registry, families = collected(rows, ("env",))
    after = begin(tmp_path, families)
    registry.enter(a_receipt(tags=(("env", "prod"), ("team", "a"))), BILL)

    grown = growth(after.take(registry.collect(Reader.NONE), now_ns=START_NS + 9), names.ATTEMPTS)
    assert grown == [(("checkout", "openai", "gpt-4o-mini", "chat", "prod"), 1)]


def test_a_metric_that_is_not_printed_for_a_while_is_not_sent_as_one_step(tmp_path: Path):
    switch = names.OPERATION_COST.switch or ""
    registry, families = collected([], (), switch)
    before = begin(tmp_path, families)
    registry.enter(a_receipt(), BILL)
    taken = before.take(registry.collect(Reader.NONE), now_ns=START_NS + 5)
    before.accept(
        (family.metric.prometheus_name, point.labels) for family in taken for point in family.points
    )
    before.save()
    rows = registry.changed()
    _, families = collected(rows, ())
    between = begin(tmp_path, families)
    between.take(families, now_ns=START_NS + 7)
    between.save()

    _, families = collected(rows, (), switch)
    after = begin(tmp_path, families)

    assert growth(after.take(families, now_ns=START_NS + 9), names.OPERATION_COST) == []
