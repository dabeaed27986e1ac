"""`python -m tests.soak`: a soak with a table at its end; status 1 if a promise was broken."""

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

from tests.soak.run import Plan, Report, printed, soak

SHOWN = 20


def main() -> int:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--seconds", type=float, default=1200)
    parser.add_argument("--rate", type=float, default=200, help="calls a second")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--json", action="store_true", help="a report instead of a table")
    asked = parser.parse_args()
    plan = Plan(asked.seconds, asked.rate, asked.seed, asked.workers)
    with tempfile.TemporaryDirectory(prefix="spanmeter-soak-") as folder:
        report = soak(plan, Path(folder), _say)
    _write(json.dumps(printed(report), indent=2) if asked.json else table(report))
    return 0 if report.is_kept else 1


def table(report: Report) -> str:
    """Print a report for people."""
    verdict = report.verdict
    rows = {
        "time, rate": f"{report.seconds:.0f} s, {verdict.calls / report.seconds:.0f} calls/s"
        f" (asked: {report.plan.rate:.0f})",
        "faults": ", ".join(f"{kind} {count}" for kind, count in report.faults.items()),
        "calls": f"{verdict.calls} ({_listed(report.calls_by_sort)})",
        "receipts": f"{verdict.receipts}",
        "broken by a fault": f"{verdict.broken}",
        "entered as relay_lost": f"{verdict.relay_lost}",
        "missing, younger than a flush": f"{verdict.missing}"
        f" (oldest {verdict.missing_age_s:.2f} s at the kill)",
        "highest lag of books": f"{report.most_lag_s:.2f} s",
        "memory, first and last quarter": ", ".join(
            f"{role} {first:.0f} and {last:.0f} MB"
            for role, (first, last) in report.memory_mb.items()
        ),
        "promises broken": f"{len(verdict.violations)}",
    }
    lines = [f"{name:32} {value}" for name, value in rows.items()]
    return "\n".join([*lines, *(f"  {each}" for each in verdict.violations[:SHOWN])])


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
