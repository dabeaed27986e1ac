"""Every fault of a provider ends its own call honestly, and no other."""

from collections.abc import Iterator

import pytest
from tests.faults.fault_run import Played, World, survived, world
from tests.faults.page import committed, page
from tests.faults.provider_faults import FAULTS, ROWS, Row


@pytest.fixture(scope="module")
def gateways_world() -> Iterator[World]:
    with world(ROWS, FAULTS) as opened:
        yield opened


@pytest.fixture(scope="module")
def played(gateways_world: World, fault_counts: dict[str, tuple[int, int]]) -> dict[str, Played]:
    found = gateways_world.play_all(ROWS)
    fault_counts["provider and network"] = len(ROWS), survived(ROWS, found)
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_fault_ends_its_own_call_and_no_other(played: dict[str, Played], row: Row) -> None:
    assert played[row.name] == Played(row.end, is_next_well=True, receipts=1)


def test_the_page_is_the_table() -> None:
    assert committed() == page()
