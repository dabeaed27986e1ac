"""The kept corpus: what runs reached beyond the seeds, small enough for the repository."""

from pathlib import Path

from fuzz import places
from fuzz.target import Target

MOST_INPUTS = 60
MOST_BYTES = 40_000
"""Of one target's kept inputs together."""


def refresh(target: Target) -> str:
    """Put the last run's corpus to the kept one, as far as there is room; say how much that is.

    libFuzzer keeps an input in the corpus of a run only if it reached what no other did, and puts a
    smaller one that reaches the same in its place.
    """
    kept = places.corpus(target.name)
    found = [*_inputs(kept), *_inputs(places.work(target.name) / "corpus")]
    fresh = sorted(set(found) - set(target.seeds()), key=lambda raw: (len(raw), raw))
    chosen: list[bytes] = []
    for raw in fresh[:: len(fresh) // MOST_INPUTS + 1]:  # small ones and large ones
        if sum(map(len, chosen)) + len(raw) <= MOST_BYTES:
            target.check(raw)
            chosen.append(raw)
    for old in places.files(kept):
        old.unlink()
    places.write_all(kept, chosen)
    return f"{len(chosen)} inputs, {sum(map(len, chosen))} bytes, of {len(found)}"


def _inputs(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in places.files(folder)]
