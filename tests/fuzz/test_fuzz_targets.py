"""The properties that are fuzzed, held in every run of the tests: short, and the same each time."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz import places, registry

SHORT = settings(
    max_examples=25,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
CRASHES = [(name, file) for name in registry.NAMES for file in places.files(places.crashes(name))]


@st.composite
def mutations(draw: st.DrawFn, seeds: list[bytes], words: list[bytes]) -> bytes:
    """Draw a seed, damaged as a fuzzer would."""
    raw = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(raw)))
        end = at + draw(st.sampled_from([0, 0, 1, 2, 9, 100]))
        put = draw(st.sampled_from(words) | st.binary(max_size=3) | st.just(raw[at:end] * 2))
        raw = raw[:at] + put + raw[end:]
    return raw


@pytest.mark.parametrize("name", registry.NAMES)
def test_every_seed_holds_the_properties(name: str) -> None:
    target = registry.load(name)

    for raw in target.seeds():
        target.check(raw)


@pytest.mark.parametrize("name", registry.NAMES)
def test_damaged_seeds_hold_the_properties(name: str) -> None:
    target = registry.load(name)
    seeds = sorted(target.seeds(), key=len)

    @SHORT
    @given(mutations(seeds, list(target.words)))
    def hold(raw: bytes) -> None:
        target.check(raw[: target.max_bytes])

    hold()


@pytest.mark.parametrize("name", registry.NAMES)
def test_every_kept_input_holds_the_properties(name: str) -> None:
    target = registry.load(name)

    for file in places.files(places.corpus(name)):
        target.check(file.read_bytes())


@pytest.mark.parametrize(
    ("name", "file"), CRASHES, ids=[f"{name}-{file.name[:8]}" for name, file in CRASHES]
)
def test_what_failed_once_does_not_fail_again(name: str, file: Path) -> None:
    registry.load(name).check(file.read_bytes())


def test_the_kept_inputs_are_small() -> None:
    folders = [
        folder(name) for name in registry.NAMES for folder in (places.corpus, places.crashes)
    ]

    assert sum(file.stat().st_size for each in folders for file in places.files(each)) < 1_000_000
