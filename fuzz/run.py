"""A run of one target: prepares its folders, keeps a child process going, reads what it found."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fuzz import places
from fuzz.target import Target

INPUT_TIMEOUT_S = 20
"""Of one input; what takes longer is a find."""
RSS_LIMIT_MB = 1024
GRACE_S = 60.0
"""Beyond its time, a child reads its corpus and leaves; then it is killed."""
SHORTEST_S = 2.0
_ENDED_BY_LIBFUZZER = ("timeout-", "oom-", "slow-unit-", "leak-")
_COVERAGE = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)/")
_INITED = re.compile(r"#\d+\tINITED cov: (\d+) ")


@dataclass(slots=True)
class Result:
    """What one target's run came to."""

    target: str
    seconds: float = 0.0
    executions: int = 0
    coverage_at_start: int = 0
    coverage: int = 0
    corpus: int = 0
    slowest_s: float = 0.0
    peak_bytes: int = 0
    starts: int = 0
    failures: list[str] = field(default_factory=list)
    """A place, or libFuzzer's reason, each with its file."""


@dataclass(frozen=True, slots=True)
class Options:
    """How long and how tightly bounded a run is."""

    seconds: float
    rss_limit_mb: int = RSS_LIMIT_MB
    input_timeout_s: int = INPUT_TIMEOUT_S


class Run:
    """One target's run; `result` grows while it lasts."""

    def __init__(self, target: Target, options: Options) -> None:
        self.target = target
        self.result = Result(target.name)
        self._options = options
        self._work = places.work(target.name)
        self._found = self._work / "found"

    def steps(self) -> Iterator[None]:
        """Fuzz until the time is up, one step a moment; a child that ends early is replaced."""
        self._prepare()
        began_s = time.monotonic()
        while (left_s := self._options.seconds - self._since(began_s)) > SHORTEST_S:
            self.result.starts += 1
            log = self._work / f"log-{self.result.starts}.txt"
            with log.open("wb") as output:
                child = subprocess.Popen(
                    self._command(left_s),
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=self._work,
                    env=_environ(),
                )
                yield from self._watch(child, time.monotonic() + left_s + GRACE_S)
            self._take_in(log)
            if child.returncode != 0 and not self._has_find():
                self.result.failures.append(f"exit status {child.returncode}: {log}")
                break
        self.result.seconds = self._since(began_s)
        self._list_finds()

    def _since(self, began_s: float) -> float:
        return time.monotonic() - began_s

    def _prepare(self) -> None:
        self._found.mkdir(parents=True, exist_ok=True)
        for old in self._found.iterdir():
            old.unlink()
        for old in self._work.glob("log-*.txt"):
            old.unlink()
        (self._work / "corpus").mkdir(exist_ok=True)
        places.write_all(self._work / "seeds", self.target.seeds())
        # libFuzzer takes no empty dictionary.
        words = (f'"{_escaped(word)}"\n' for word in self.target.words or (b"\0",))
        (self._work / "words.txt").write_text("".join(words))

    def _command(self, left_s: float) -> list[str]:
        kept = [places.corpus(self.target.name), places.crashes(self.target.name)]
        folders = [self._work / "corpus", self._work / "seeds", *filter(Path.is_dir, kept)]
        return [
            *(sys.executable, "-m", "fuzz.child", self.target.name, str(self._found)),
            f"-max_total_time={int(left_s)}",
            f"-timeout={self._options.input_timeout_s}",
            f"-rss_limit_mb={self._options.rss_limit_mb}",
            f"-artifact_prefix={self._found}/",
            f"-dict={self._work / 'words.txt'}",
            f"-max_len={self.target.max_bytes}",
            *("-len_control=20", "-reload=0", "-print_final_stats=0"),
            *map(str, folders),
        ]

    def _watch(self, child: "subprocess.Popen[bytes]", until_s: float) -> Iterator[None]:
        try:
            while child.poll() is None:
                if time.monotonic() > until_s:
                    break
                yield
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()

    def _has_find(self) -> bool:
        return any(
            file.name.startswith(("crash-", *_ENDED_BY_LIBFUZZER)) for file in self._found.iterdir()
        )

    def _take_in(self, log: Path) -> None:
        """Add what one child did."""
        result, report = self.result, read_report(self._found)
        result.executions += report.get("executions", 0)
        result.slowest_s = max(result.slowest_s, report.get("slowest_s", 0.0))
        result.peak_bytes = max(result.peak_bytes, report.get("peak_bytes", 0))
        (self._found / "report.json").unlink(missing_ok=True)
        text = log.read_text(errors="replace")
        if (inited := _INITED.search(text)) and not result.coverage_at_start:
            result.coverage_at_start = int(inited[1])
        for match in _COVERAGE.finditer(text):
            result.coverage, result.corpus = int(match[1]), int(match[3])

    def _list_finds(self) -> None:
        for file in sorted(self._found.iterdir()):
            if file.name.startswith(_ENDED_BY_LIBFUZZER):
                self.result.failures.append(f"{file.name.partition('-')[0]}: {file}")
            elif file.name.startswith("crash-") and not file.name.endswith(".txt"):
                self.result.failures.append(f"{_last_line(file)}: {file}")


def read_report(found: Path) -> dict[str, Any]:
    """Read what a child says of itself so far."""
    try:
        report = json.loads((found / "report.json").read_text())
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}


def _environ() -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[1])
    return {**os.environ, "PYTHONPATH": root, "PYTHONDONTWRITEBYTECODE": "1"}


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


def _last_line(crash: Path) -> str:
    text = crash.with_name(f"{crash.name}.txt")
    lines = text.read_text().splitlines() if text.exists() else []
    return lines[-1][:200] if lines else "crash"
