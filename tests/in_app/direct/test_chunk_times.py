from collections import Counter

import pytest

from spanmeter.direct.chunk_times import ChunkTimes

MS = 1_000_000


def test_the_first_chunk_only_starts_the_clock() -> None:
    times = ChunkTimes()
    times.note(5 * MS)

    assert list(times.seconds()) == []


def test_sum_count_and_buckets_are_exact() -> None:
    times, now_ns = ChunkTimes(), 0
    times.note(now_ns)
    for time_ms in (1, 9, 10, 30, 31, 400_000):
        now_ns += time_ms * MS
        times.note(now_ns)

    found = list(times.seconds())

    assert sum(found) == pytest.approx(400.081)
    assert Counter(
        bound for time_s in found for bound in (0.01, 0.04, 327.68) if time_s <= bound
    ) == {
        0.01: 3,
        0.04: 5,
        327.68: 5,
    }
