"""The command: fuzz targets side by side, say how it goes, end with a table."""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from fuzz import kept, registry
from fuzz.places import work
from fuzz.run import INPUT_TIMEOUT_S, RSS_LIMIT_MB, Options, Result, Run, read_report

POLL_S = 0.2
PROGRESS_S = 15.0
COLUMNS = (
    "target",
    "seconds",
    "executions",
    "coverage",
    "new",
    "corpus",
    "slowest",
    "memory",
    "finds",
)


def main(argv: list[str]) -> int:
    """Fuzz, print the table; the exit status is 1 when anything was found."""
    options = _options(argv)
    chosen = [registry.load(name) for name in options.targets or registry.NAMES]
    if options.keep:
        for target in chosen:
            print(f"{target.name}: {kept.refresh(target)}", flush=True)
        return 0
    limits = Options(options.seconds, options.rss_limit_mb, options.input_timeout)
    runs = [Run(target, limits) for target in chosen]
    _work_off(runs, jobs=options.jobs)
    results = [run.result for run in runs]
    print("\n".join(_table(results)))
    for result in results:
        for failure in result.failures:
            print(f"FOUND {result.target}: {failure}")
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(result) for result in results], indent=1))
    return 1 if any(result.failures for result in results) else 0


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="See fuzz/README.md.")
    parser.add_argument("targets", nargs="*", choices=[[], *registry.NAMES], metavar="target")
    parser.add_argument("--seconds", type=float, default=600.0, help="for each target")
    parser.add_argument("--jobs", type=int, default=2, help="targets at a time")
    parser.add_argument("--rss-limit-mb", type=int, default=RSS_LIMIT_MB)
    parser.add_argument("--input-timeout", type=int, default=INPUT_TIMEOUT_S)
    parser.add_argument("--json", type=Path, help="write the results for machines")
    parser.add_argument(
        "--keep", action="store_true", help="refresh fuzz/corpus from the last runs"
    )
    return parser.parse_args(argv)


def _work_off(runs: list[Run], *, jobs: int) -> None:
    waiting, active = list(runs), dict[str, tuple[Run, Iterator[None]]]()
    said_s = time.monotonic()
    while waiting or active:
        while waiting and len(active) < jobs:
            run = waiting.pop(0)
            active[run.target.name] = (run, run.steps())
        for name, (run, steps) in list(active.items()):
            if next(steps, run) is run:  # None while it goes on
                del active[name]
                print(_line(run.result), flush=True)
        if time.monotonic() - said_s > PROGRESS_S:
            said_s = time.monotonic()
            for name in active:
                executions = read_report(work(name) / "found").get("executions", 0)
                print(f"{name}: {executions} so far", flush=True)
        time.sleep(POLL_S)


def _line(result: Result) -> str:
    return f"{result.target}: {result.executions} executions, {len(result.failures)} finds"


def _table(results: list[Result]) -> Iterator[str]:
    rows = [COLUMNS, *map(_row, results)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(COLUMNS))]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join([row[0].ljust(widths[0]), *cells])


def _row(result: Result) -> tuple[str, ...]:
    return (
        result.target,
        f"{result.seconds:.0f}",
        f"{result.executions}",
        f"{result.coverage}",
        f"+{result.coverage - result.coverage_at_start}",
        f"{result.corpus}",
        f"{result.slowest_s * 1000:.0f} ms",
        f"{result.peak_bytes / 1e6:.0f} MB",
        f"{len(result.failures)}",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
