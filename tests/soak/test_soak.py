"""The soak of `make soak`, for less than a minute and at a lower rate."""

import sys
from pathlib import Path

from tests.soak.calls import SORTS
from tests.soak.run import FIRST_FAULTS, Plan, soak

PLAN = Plan(seconds=40, rate=60, seed=20_260_101)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def test_every_call_has_one_receipt_whatever_is_killed(tmp_path: Path) -> None:
    report = soak(PLAN, tmp_path, _say)

    assert report.verdict.violations == []
    assert report.faults.keys() == set(FIRST_FAULTS)
    assert report.calls_by_sort.keys() == SORTS.keys()
    assert report.verdict.receipts > PLAN.seconds
