"""One target under atheris: libFuzzer chooses the inputs by what of our code they reach.

A process of its own, because libFuzzer ends the process when it is done. A failed property does not
end the run: its input is written down, once for each place at which it failed. What libFuzzer must
end itself, a time-out or too much memory, leaves a file of libFuzzer's own.
"""

import json
import resource
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris

from fuzz import registry
from fuzz.places import name_of

SAVE_INTERVAL_S = 0.5
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
_OWN_FOLDERS = ("/fuzz/", "/spanmeter/", "/spanmeter_gateway/")


class Watch:
    """Runs the check for each input, and keeps what the table says of the run."""

    def __init__(self, check: Callable[[bytes], None], found: Path) -> None:
        self._check = check
        self._found = found
        self._saved_s = 0.0
        self._executions = 0
        self._slowest_s = 0.0
        self._slowest = b""
        self._failures: dict[str, str] = {}
        found.mkdir(parents=True, exist_ok=True)

    def __call__(self, raw: bytes) -> None:
        """Check one input."""
        began_s = time.perf_counter()
        try:
            self._check(raw)
        except Exception as error:  # noqa: BLE001 - whatever escapes is what is looked for
            self._keep(raw, error)
        now_s = time.perf_counter()
        self._executions += 1
        if now_s - began_s > self._slowest_s:
            self._slowest_s, self._slowest = now_s - began_s, raw
        if now_s - self._saved_s > SAVE_INTERVAL_S:
            self._saved_s = now_s
            self._save()

    def _keep(self, raw: bytes, error: Exception) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if any(part in frame.filename for part in _OWN_FOLDERS)]
        at = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in own[-1:-4:-1])
        place = f"{type(error).__name__} at {at}"
        known = self._failures.get(place)
        if known is not None and len((self._found / known).read_bytes()) <= len(raw):
            return
        name = f"crash-{name_of(raw)}"
        (self._found / name).write_bytes(raw)
        text = "".join(traceback.format_exception(error))
        (self._found / f"{name}.txt").write_text(text, errors="backslashreplace")
        if known is not None:
            (self._found / known).unlink()
            (self._found / f"{known}.txt").unlink()
        self._failures[place] = name
        self._save()

    def _save(self) -> None:
        report: dict[str, Any] = {
            "executions": self._executions,
            "slowest_s": self._slowest_s,
            "slowest": name_of(self._slowest),
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT,
            "failures": self._failures,
        }
        (self._found / "slowest-input").write_bytes(self._slowest)
        part = self._found / "report.part"
        part.write_text(json.dumps(report))
        part.replace(self._found / "report.json")


def main(argv: list[str]) -> None:
    """Fuzz the named target; the other arguments are a folder for finds, and libFuzzer's."""
    program, name, found, *options = argv
    with atheris.instrument_imports(include=["spanmeter", "spanmeter_gateway"]):
        target = registry.load(name)
    atheris.Setup([program, *options], Watch(target.check, Path(found)))
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
