"""Days of traffic through the anomaly rules, in real Prometheus code, within seconds."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.anomalies.fortnight import BUCKET_S, Bucket
from tests.anomalies.open_metrics import write_learned, write_raw
from tests.components import require

from spanmeter_gateway.alerting import build
from spanmeter_gateway.alerting.slo import Slo


@dataclass(frozen=True, slots=True)
class Told:
    """What Alertmanager is told: an alert's beginning or its end."""

    at_s: int
    state: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


def told(
    folder: Path, buckets_by_feature: Mapping[str, Sequence[Bucket]], begin_s: int, *, from_s: int
) -> list[Told]:
    """Evaluate the rules from `from_s` on; what was before they find as if they had learned it.

    All buckets begin at `begin_s`; where that is `from_s`, the rules begin with nothing.
    """
    learned = (from_s - begin_s) // BUCKET_S
    end_s = begin_s + BUCKET_S * len(next(iter(buckets_by_feature.values())))
    with (folder / "raw.txt").open("w", encoding="utf-8") as out:
        for feature, buckets in buckets_by_feature.items():
            before = max(0, learned - 3)  # what the first evaluation's longest range reaches
            write_raw(out, feature, begin_s + before * BUCKET_S, buckets[before:])
        if learned:
            past = {name: each[:learned] for name, each in buckets_by_feature.items()}
            write_learned(out, begin_s, past)
        out.write("# EOF\n")
    _backfill(folder)
    done = subprocess.run(
        [
            require("fastforward"), "-blocks", folder / "blocks", "-results", folder / "results",
            "-from", str(from_s), "-to", str(end_s),
            *_rule_files(folder),
        ],
        capture_output=True, text=True, check=True, timeout=3600,
    )  # fmt: skip
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return [Told(each["at"], each["state"], each["labels"], each["annotations"]) for each in found]


def _backfill(folder: Path) -> None:
    # One block: promtool reads the whole file once for each.
    subprocess.run(
        [
            require("promtool"), "tsdb", "create-blocks-from", "--max-block-duration=486h",
            "openmetrics", "--quiet", folder / "raw.txt", folder / "blocks",
        ],
        check=True, timeout=600,
    )  # fmt: skip


def _rule_files(folder: Path) -> list[Path]:
    """Write the anomaly rules, and before them those whose series they read."""
    content_by_path = build.files(Slo())
    read = content_by_path["rules/anomalies.yaml"]
    first = yaml.safe_load(content_by_path["rules/features.yaml"])["groups"][0]
    kept: list[Any] = []
    for rule in reversed(first["rules"]):
        if rule["record"] in read:
            kept.insert(0, rule)
            read += rule["expr"]
    # At the pace of the others: nobody reads what is in between.
    needed = {"groups": [first | {"interval": f"{BUCKET_S}s", "rules": kept}]}
    features, anomalies = folder / "features.yaml", folder / "anomalies.yaml"
    features.write_text(yaml.safe_dump(needed), encoding="utf-8")
    anomalies.write_text(content_by_path["rules/anomalies.yaml"], encoding="utf-8")
    return [features, anomalies]
