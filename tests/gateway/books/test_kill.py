"""Books are killed before every step that has an effect, and lose and double nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

WHOLE = {
    # Two receipts were torn off, which a counter names, and two are parked.
    "differences": {"receipts_calls": 0, "receipts_spans": 0, "written_entered": 4},
    "writers": ["0aa1", "0bb2", "0cc3"],
    "totals": {
        "calls gateway_error relay_lost": 2,
        "calls ok ": 11,
        "cost checkout": 91,
        "spanmeter_receipts_dropped_total segment_lost": 2,
        "spanmeter_receipts_dropped_total spool_full": 3,
        "spanmeter_receipts_entered_total": 13,
        "spanmeter_relay_lost_calls_total": 2,
        "spanmeter_segments_total entered": 11,
        "spanmeter_segments_total parked": 1,
        "spanmeter_segments_total quarantined": 1,
    },
    "saved": True,
    "open": ["c1"],
    "segments": {},
    "spans": ["a1", "a2", "a3", "a4", "a5", "b1", "b2", "b3", "c2", "c3", "d1", "d2", "d3"],
    "files": [
        "spool/0cc3-000.alive",
        "spool/parked/0bb2-000-0000000002.ndjson",
        "spool/quarantine/0bb2-000-0000000001.ndjson",
    ],
}


@pytest.mark.parametrize(("way", "least_kills"), [("every", 200), ("chains", 20)])
def test_killed_books_end_with_the_same_totals_as_undisturbed_ones(
    tmp_path: Path, way: str, least_kills: int
) -> None:
    driver = [sys.executable, "-m", "tests.gateway.books.kill_driver", str(tmp_path / "scene"), way]

    ended = subprocess.run(
        driver,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=150,
        check=True,
    )

    found = json.loads(ended.stdout)
    assert found["ends"] == [WHOLE]
    assert found["kills"] >= least_kills
