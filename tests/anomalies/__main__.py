"""Print how well anomalies are found: `python -m tests.anomalies`, `... --fortnight`."""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.anomalies.evaluation import SIZES, Finding, Trial, fortnight, trials

_SMALL, _LARGE = 20, 200


def main() -> None:
    """Try the seeds and print the tables of docs/anomalies.md."""
    parser = argparse.ArgumentParser(prog="python -m tests.anomalies")
    parser.add_argument("--seeds", type=int, default=3, help="how many; 90 anomalies each")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument(
        "--fortnight", action="store_true", help="two clean weeks and a spike instead"
    )
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if chosen.fortnight:
            sys.stdout.writelines(f"{each}\n" for each in fortnight(Path(folder), chosen.first))
            return
        found = trials(Path(folder), range(chosen.first, chosen.first + chosen.seeds))
    sys.stdout.write(page(found))


def page(trials: Sequence[Trial]) -> str:
    """Print one row a metric and size, and what was told without a cause."""
    findings = [each for trial in trials for each in trial.findings]
    head = (
        "| anomaly | size | injected | found | missed | under 20 calls | 20 to 200 | over 200 |"
        " minutes until told |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
    )
    rows = "".join(
        _row(anomaly, f"{size:g}", [each for each in findings if _is(each, anomaly, size)])
        for anomaly, sizes in SIZES.items()
        for size in sizes
    )
    weeks = sum(each.feature_weeks for each in trials)
    false = [each for trial in trials for each in trial.false]
    return (
        f"{head}{rows}{_row('all', '', findings)}\n"
        f"False alarms: {len(false)} in {weeks:.1f} weeks of a feature. Alerts of another metric"
        f" or of all together, with a cause: {sum(each.consequences for each in trials)}."
        f" Alerts of one anomaly: {_alerts(findings)}.\n"
        + "".join(
            f"- {each.at_s} {each.labels} {each.annotations['description']}\n" for each in false
        )
    )


def _is(finding: Finding, anomaly: str, size: float) -> bool:
    return finding.injection.anomaly == anomaly and finding.injection.size == size


def _row(anomaly: str, size: str, findings: Sequence[Finding]) -> str:
    delays = [each.after_s / 60 for each in findings if each.after_s is not None]
    by_calls = (
        [each for each in findings if each.calls < _SMALL],
        [each for each in findings if _SMALL <= each.calls <= _LARGE],
        [each for each in findings if each.calls > _LARGE],
    )
    shares = " | ".join(f"{_found(each)} of {len(each)}" for each in by_calls)
    minutes = f"{statistics.median(delays):.0f}" if delays else ""
    missed = len(findings) - len(delays)
    return (
        f"| {anomaly} | {size} | {len(findings)} | {len(delays)} | {missed} | {shares}"
        f" | {minutes} |\n"
    )


def _found(findings: Iterable[Finding]) -> int:
    return sum(each.after_s is not None for each in findings)


def _alerts(findings: Iterable[Finding]) -> str:
    counts = [each.alerts for each in findings if each.alerts]
    return ", ".join(f"{counts.count(each)} times {each}" for each in sorted(set(counts)))


if __name__ == "__main__":
    main()
