"""How long the dashboards' queries take: 30 features, each with 30 models, 14 days of scrapes.

The series are made up (tests/dashboards), the Prometheus is a real one with nothing to do but
answer, one query at a time.
"""

import hashlib
import json
import math
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.dashboards import fleet, history, shipped
from tests.dashboards.answers import Answer, Choices, ask, decided, question
from tests.dashboards.fleet import Series
from tests.dashboards.grafana_queries import Choice, Window
from tests.prometheus_process import PrometheusProcess

from bench.processes import Failed
from bench.rig import CACHE
from bench.stage import tell
from grafana import sources
from spanmeter_gateway.alerting.sums import INTERVAL_S, SELDOM_S

SOURCE = Path(__file__).parent / "blocks"
FEATURES, MODELS, DAYS = 30, 30, 14
RANGES_H = (24, 7 * 24, 14 * 24)
LIMIT_S = 1.0
ROUNDS = 3
SLOWEST = 15
RECORDED_S = {
    **{source.recorded: INTERVAL_S for source in sources.ALL},
    **{source.seldom: SELDOM_S for source in sources.ALL},
}
"""Written as often as the rules record them, however seldom scrapes are."""
KEEP = "--storage.tsdb.retention.time=60d"


@dataclass(frozen=True, slots=True)
class Took:
    """One query."""

    seconds: float
    """Of Prometheus' CPU, on the average: what it takes where nothing else runs."""
    range_h: int
    uid: str
    place: str


def run(*, scrape_s: int, is_quick: bool, matching: str) -> list[Took]:
    """Write the history, ask everything, print what is slow; the slowest first.

    `matching` is a regular expression: only queries whose dashboard and panel have it are asked.
    """
    prometheus = PrometheusProcess({}, flags=[KEEP])
    read = "".join(file.read_text() for file in shipped.DIST.glob("*.json"))
    every = list(history.shipped_series(fleet.dense(FEATURES, MODELS), read))
    tell(f"{len(every)} series, {DAYS} days, a scrape each {scrape_s} s: writing")
    _write(every, prometheus.folder / "tsdb", scrape_s)
    ranges_h = RANGES_H[:1] if is_quick else RANGES_H
    with prometheus:
        took = [
            each
            for range_h in ranges_h
            for uid in shipped.UIDS
            for each in _of_dashboard(
                prometheus.url, uid, _window(range_h, scrape_s), matching=matching
            )
        ]
    took.sort(key=lambda each: each.seconds, reverse=True)
    _show(took)
    return took


def _cpu_s(url: str) -> float:
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
        page = answer.read().decode()
    return float(re.findall(r"^process_cpu_seconds_total (\S+)", page, re.MULTILINE)[0])


def _window(range_h: int, scrape_s: int) -> Window:
    return Window(until_s=history.UNTIL_S, range_s=range_h * 3600, scrape_s=scrape_s)


def _of_dashboard(url: str, uid: str, window: Window, *, matching: str) -> list[Took]:
    dashboard = shipped.load(uid)
    range_h = window.range_s // 3600
    choices: Choices = {"feature": Choice(("feature-29",), None, is_many=False)}
    choices = decided(url, dashboard, {**choices, **shipped.at_all(dashboard)}, window)
    found: list[Took] = []
    for target in shipped.everything(dashboard):
        if not re.search(matching, f"{uid} / {target.place}"):
            continue
        asked = question(target, choices, window)
        begun_s = _cpu_s(url)
        answers = [ask(url, asked) for _ in range(ROUNDS)]
        seconds = (_cpu_s(url) - begun_s) / ROUNDS
        _require(answers)
        found.append(Took(seconds, range_h, uid, target.place))
    slowest = max((each.seconds for each in found), default=0.0)
    tell(f"{uid}, {range_h} h: {len(found)} queries, slowest {slowest:.3f} s")
    return found


def _require(answers: Iterable[Answer]) -> None:
    wrong = [each for each in answers if each.problem]
    if wrong:
        raise Failed(f"{wrong[0].question.target.place}: {wrong[0].problem}")


def _show(took: list[Took]) -> None:
    for range_h in RANGES_H:
        of_range = [each for each in took if each.range_h == range_h]
        slow = [each for each in of_range if each.seconds > LIMIT_S]
        if of_range:
            middle = of_range[len(of_range) // 2].seconds
            print(
                f"{range_h} h: {len(of_range)} queries, median {middle:.3f} s, slowest"
                f" {of_range[0].seconds:.3f} s, {len(slow)} over {LIMIT_S:g} s"
            )
    print("\n| s | range | dashboard | query |\n| --- | --- | --- | --- |")
    for each in took[:SLOWEST]:
        print(f"| {each.seconds:.3f} | {each.range_h} h | {each.uid} | {each.place} |")


def _write(every: Iterable[Series], tsdb: Path, scrape_s: int) -> None:
    tsdb.mkdir(parents=True)
    program, until = _built(), history.UNTIL_S
    step_s = math.gcd(scrape_s, *RECORDED_S.values())
    argv = [str(program), "-folder", str(tsdb), "-step", str(step_s), "-to", str(until)]
    argv += ["-from", str(until - DAYS * 86400)]
    lines = "".join(_line(each, RECORDED_S.get(each.name, scrape_s)) for each in every)
    done = subprocess.run(argv, input=lines, text=True, capture_output=True, check=False)
    if done.returncode:
        raise Failed(f"no blocks were written: {done.stderr.strip()}")


def _line(each: Series, every_s: int) -> str:
    own = {"job": "spanmeter", "instance": "books-1:9464"}
    labels = {"__name__": each.name, **own, **each.labels}
    row = {"labels": labels, "per_hour": each.per_hour, "level": each.level}
    row["every"] = every_s
    return json.dumps(row) + "\n"


def _built() -> Path:
    """Build what writes blocks, once for each content of its source."""
    sources = sorted(SOURCE.iterdir())
    key = hashlib.sha256(b"".join(file.read_bytes() for file in sources)).hexdigest()
    folder = CACHE / "blocks" / key
    program = folder / "blocks"
    if program.exists():
        return program
    go = shutil.which("go", path="/usr/local/go/bin") or shutil.which("go")
    if go is None:
        raise Failed("Go is needed to write the blocks; see bench/README.md")
    tell("building what writes blocks, once")
    shutil.copytree(SOURCE, folder, dirs_exist_ok=True)
    done = subprocess.run(
        [go, "build", "-mod=mod", "-trimpath", "-o", str(program), "."],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Failed(f"go build: {done.stderr.strip()}")
    return program
