"""A wall clock that a test can set, for the processes of a gateway; the monotonic one goes on.

As when an operator or NTP sets the machine's clock: the time of day and the times of files change.
The kernel's own cannot be set here, so each Python process begins with a module that shifts both.
"""

from pathlib import Path

_SHIFT = """
import os
import pathlib
import time

shift = os.open({file!r}, os.O_RDONLY)
time_ns, rename, utime = time.time_ns, pathlib.Path.rename, os.utime


def shifted_ns():
    return time_ns() + int(os.pread(shift, 32, 0))


def shifted_utime(path, times=None, *, ns=None, **others):
    now_ns = shifted_ns()
    given = {{"times": times}} if times else {{"ns": ns or (now_ns, now_ns)}}
    utime(path, **given, **others)


def shifted_rename(path, target):
    shifted_utime(path)
    return rename(path, target)


time.time_ns, time.time = shifted_ns, lambda: shifted_ns() / 1e9
pathlib.Path.rename, os.utime = shifted_rename, shifted_utime
"""
_ZERO = f"{0:+032d}"


class ShiftedClock:
    """The clock of every process that is started with its `environ`."""

    def __init__(self, folder: Path) -> None:
        self._shift = folder / "shift"
        self._shift.write_text(_ZERO)
        # Python runs a module of this name before anything else (docs.python.org, `site`).
        (folder / "sitecustomize.py").write_text(_SHIFT.format(file=str(self._shift)))
        self.environ = {"PYTHONPATH": str(folder)}

    def set(self, shift_s: int) -> None:
        """Let the clock go so far ahead of the machine's, or behind it."""
        with self._shift.open("r+") as file:  # over what it says, so that it is never empty
            file.write(f"{shift_s * 10**9:+032d}")
