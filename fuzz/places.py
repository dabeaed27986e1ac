"""Where inputs are kept: in the repository what must stay, in `build/` what a run works with."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

_HERE = Path(__file__).parent
_WORK = _HERE.parent / "build" / "fuzz"


def corpus(target: str) -> Path:
    """Name the folder of the inputs that are kept because each reaches something of its own."""
    return _HERE / "corpus" / target


def crashes(target: str) -> Path:
    """Name the folder of the inputs that failed once, and are replayed for ever."""
    return _HERE / "crashes" / target


def work(target: str) -> Path:
    """Name the folder of a run: its corpus, which the next run takes up, and what it found."""
    return _WORK / target


def files(folder: Path) -> list[Path]:
    """List the files of a folder; none of one that does not exist."""
    return sorted(folder.iterdir()) if folder.is_dir() else []


def write_all(folder: Path, inputs: Iterable[bytes]) -> None:
    """Write each input into a file that is named by its content, as libFuzzer does."""
    folder.mkdir(parents=True, exist_ok=True)
    for raw in inputs:
        (folder / name_of(raw)).write_bytes(raw)


def name_of(raw: bytes) -> str:
    """Name an input by its content."""
    return hashlib.sha1(raw, usedforsecurity=False).hexdigest()
