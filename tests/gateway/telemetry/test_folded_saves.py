import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.telemetry.samples import BILL, START_NS, a_receipt
from tests.gateway.telemetry.series import counted

from spanmeter_gateway.books.counters import Batch, Counters
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.registry import GONE, Registry, SeriesRow

PASSTHROUGH = "spanmeter_passthrough_total"


def _row(value: int, *labels: str, at_ns: int = START_NS) -> SeriesRow:
    return SeriesRow(PASSTHROUGH, json.dumps(labels, separators=(",", ":")), f"[{value}]", at_ns)


PROD = _row(5, "spanmeter.feature", "f", "spanmeter.tag.env", "prod", at_ns=START_NS - 2)
TEST = _row(7, "spanmeter.feature", "f", "spanmeter.tag.env", "test", at_ns=START_NS - 3)
PLAIN = _row(1, "spanmeter.feature", "f")


def test_a_label_that_is_not_allowed_any_more_is_folded_into_the_series_without_it() -> None:
    registry = Registry(())

    registry.restore([PLAIN, PROD, TEST])

    changed = [row for row in registry.changed() if row.metric == PASSTHROUGH]
    assert changed == [
        PROD._replace(values=GONE),
        TEST._replace(values=GONE),
        _row(13, "spanmeter.feature", "f", at_ns=START_NS - 3),
    ]


def test_a_folded_series_that_had_no_plain_one_before_is_made() -> None:
    registry = Registry(())

    registry.restore([PROD])

    assert counted(registry, names.PASSTHROUGH)[-1] == ({"spanmeter.feature": "f"}, [5])
    [family] = [one for one in registry.collect() if one.metric is names.PASSTHROUGH]
    assert [point.numbers for point in family.points] == [[5]]


def test_folding_is_saved_once() -> None:
    registry = Registry(())
    registry.restore([PLAIN, PROD])
    registry.changed()

    registry.mark_saved()

    assert registry.changed() == []


def test_books_delete_the_folded_series_in_the_same_commit(tmp_path: Path) -> None:
    counters = Counters(tmp_path / "books.sqlite")
    counters.commit(Batch(rows=[PLAIN, PROD, TEST]))
    registry = Registry(())
    registry.restore(counters.restore().rows)

    counters.commit(Batch(rows=registry.changed()))

    saved = [row for row in counters.restore().rows if row.metric == PASSTHROUGH]
    counters.close()
    assert saved == [_row(13, "spanmeter.feature", "f", at_ns=START_NS - 3)]


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["", "prod", "test"])), max_size=8
    ),
    st.lists(st.lists(st.sampled_from(["env", "team"]), unique=True), min_size=1, max_size=4),
)
def test_no_sum_changes_however_often_the_allowed_tags_do(
    calls: list[tuple[str, str]], configurations: list[list[str]]
) -> None:
    first = Registry(("env", "team"))
    for feature, env in calls:
        first.enter(a_receipt(feature=feature, tags=(("env", env), ("team", env))), BILL)
    saved = _saved({}, first)
    expected = _sums(saved)

    for tag_keys in configurations:
        registry = Registry(tag_keys)
        registry.restore(saved.values())
        saved = _saved(saved, registry)

    assert _sums(saved) == expected


def _saved(before: dict[Any, SeriesRow], registry: Registry) -> dict[Any, SeriesRow]:
    after = before | {row[:2]: row for row in registry.changed()}
    return {key: row for key, row in after.items() if row.values != GONE}


def _sums(saved: dict[Any, SeriesRow]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for row in saved.values():
        sums[row.metric] = sums.get(row.metric, 0) + sum(json.loads(row.values))
    return {metric: total for metric, total in sums.items() if total}
