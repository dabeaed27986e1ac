"""Seeds out of the recordings of real providers, so that no byte of them is kept twice."""

from collections.abc import Iterator

from tests.fakes.recordings import Recording, all_recordings

LONGEST = 12_000
"""Bytes of a body; the mutations of a longer one seldom meet what matters."""


def small_recordings() -> Iterator[Recording]:
    """Yield the recordings whose bodies are short enough to be mutated with effect."""
    for each in all_recordings():
        if len(each.request_body) < LONGEST and len(each.response_body) < LONGEST:
            yield each


def plain_path(each: Recording) -> str:
    """Return the path of a recorded request, without its query."""
    return each.path.partition("?")[0]
