"""Times between chunks: one fewer than chunks, each in the bucket that holds it."""

from spanmeter_gateway.receipt import CHUNK_SECONDS
from spanmeter_gateway.relay.chunk_times import ChunkTimes

MS = 1_000_000


def noted(*times_ns: int) -> ChunkTimes:
    chunks = ChunkTimes()
    for time_ns in times_ns:
        chunks.note(time_ns)
    return chunks


def test_each_time_is_in_its_bucket_and_in_the_sum() -> None:
    chunks = noted(0, 10 * MS, 25 * MS, 1_000_000 * MS)

    total, *counts = chunks.numbers()

    assert total == 1_000_000 * MS
    assert {place: count for place, count in enumerate(counts) if count} == {
        0: 1, 1: 1, len(CHUNK_SECONDS): 1,
    }  # fmt: skip


def test_one_chunk_has_no_times() -> None:
    assert noted().numbers() == noted(7 * MS).numbers() == ()
