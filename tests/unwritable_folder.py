"""A folder that cannot be written for a while, in the ways in which that happens on real machines.

Root is not bound by modes: for it a folder is mounted read-only, where the machine lets us.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def read_only(folder: Path) -> Iterator[str]:
    """Take the right to write away; yields what the system says to who tries."""
    folder.chmod(0o500)
    try:
        if not os.access(folder, os.W_OK):
            yield "Permission denied"
        elif _mount("--bind", str(folder), str(folder)):
            try:
                subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
                yield "Read-only file system"
            finally:
                subprocess.run(["umount", "--lazy", folder], check=True)
        else:
            with replaced(folder) as says:
                yield says
    finally:
        folder.chmod(0o700)


@contextmanager
def replaced(folder: Path) -> Iterator[str]:
    """Put a file in the folder's place; yields what the system says to who tries to write."""
    aside = folder.with_name(f"{folder.name}-aside")
    folder.rename(aside)
    folder.touch()
    try:
        yield "File exists"
    finally:
        folder.unlink()
        aside.rename(folder)


def _mount(*how: str) -> bool:
    return not subprocess.run(["mount", *how], check=False, capture_output=True).returncode
