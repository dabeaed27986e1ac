"""A soak: mixed calls at a steady rate while relays and books are killed and all is restarted."""

import json
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from tests import processes
from tests.accounts import NONE_DIFFERS, differences
from tests.gateway_process import GatewayProcess, Metrics
from tests.soak.calls import Call, Lost, read
from tests.soak.sink import SoakSink
from tests.soak.verdict import CERTAIN_S, Court, Fault, Verdict, unequal
from tests.traffic import PRICES, End

FIRST_FAULTS = ("relay", "books", "relay", "restart")
"""Even the shortest soak has each; from then on they come by chance."""
FAULT_WEIGHTS = {"relay": 10, "books": 7, "restart": 1}
REST_S = (4.0, 9.0)
PROGRESS_S = 10.0
SAMPLE_S = 1.0
SETTLED_S = 60.0
MOST_LAG_S = 60.0
"""Of books that are killed, and start on a machine that does much else."""
GROWTH = 1.5
SLACK_BYTES = 40 << 20
"""Memory may grow so much: what every process takes when it is warm, and the queue of spans."""
EXPECTED = (
    "ended: signal SIGKILL", "does not take them",
)  # fmt: skip
"""What the log may say of what we do to it."""
IS_BAD = (" ERROR ", " CRITICAL ", "Traceback", " WARNING ")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of a soak."""

    seconds: float
    rate: float
    seed: int
    workers: int = 2


@dataclass(slots=True)
class Report:
    """What a soak came to."""

    plan: Plan
    verdict: Verdict
    seconds: float = 0
    faults: dict[str, int] = field(default_factory=dict)
    calls_by_sort: dict[str, int] = field(default_factory=dict)
    memory_mb: dict[str, tuple[float, float]] = field(default_factory=dict)
    """By role: the mean of the first quarter and of the last."""
    most_lag_s: float = 0

    @property
    def is_kept(self) -> bool:
        """Say whether every promise was kept."""
        return not self.verdict.violations


class Load:
    """The process that makes the calls; what it tells goes to a file."""

    def __init__(self, plan: Plan, url: str, file: Path) -> None:
        self._file = file
        with file.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.soak.load", url, str(plan.rate), str(plan.seed)],
                stdin=subprocess.PIPE,
                stdout=out,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            status = self._process.wait(60)
        finally:
            self._process.kill()
        assert status == 0, "the load generator failed"

    def read(self) -> tuple[list[Call], list[Lost]]:
        """Read what it told."""
        values = [read(json.loads(line)) for line in self._file.read_text().splitlines()]
        calls = [value for value in values if isinstance(value, Call)]
        return calls, [value for value in values if isinstance(value, Lost)]


class Chaos:
    """What is done to the gateway, and what is seen of it meanwhile."""

    def __init__(self, plan: Plan, gateway: GatewayProcess, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._gateway = gateway
        self._say = say
        self._random = random.Random(plan.seed)
        self.faults: list[Fault] = []
        self.most_lag_s = 0.0
        self.memory: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
        self._progress_at_s = 0.0
        self._began_s = time.monotonic()

    def run(self) -> None:
        """Do harm, at times by chance, until the time is over."""
        kinds = self._kinds()
        end_s = self._began_s + self._plan.seconds
        while (now_s := time.monotonic()) < end_s:
            self._watch(min(now_s + self._random.uniform(*REST_S), end_s))
            if time.monotonic() < end_s:
                self._do(next(kinds))

    def _kinds(self) -> Iterator[str]:
        yield from FIRST_FAULTS
        while True:
            yield self._random.choices([*FAULT_WEIGHTS], [*FAULT_WEIGHTS.values()])[0]

    def _do(self, kind: str) -> None:
        from_s = time.monotonic()
        if kind == "restart":
            self._gateway.stop()
            self._gateway.start()
        elif kind == "books":
            processes.kill(processes.books(self._gateway))
        else:
            processes.kill(self._random.choice(processes.relays(self._gateway)))
        self.faults.append(Fault(kind, from_s, time.monotonic()))
        # One thing at a time: a gateway without any relay has nothing to promise.
        processes.wait_until(lambda: self._is_whole(), timeout_s=60)

    def _is_whole(self) -> bool:
        up = len(processes.relays(self._gateway)) == self._plan.workers
        return up and processes.is_answering(f"{self._gateway.books_url}/healthz")

    def _watch(self, until_s: float) -> None:
        while (now_s := time.monotonic()) < until_s:
            self._sample(now_s)
            time.sleep(min(SAMPLE_S, max(0.0, until_s - now_s)))

    def _sample(self, now_s: float) -> None:
        roles = {"supervisor": [self._gateway.pid], "books": [processes.books(self._gateway)]}
        roles["relay"] = processes.relays(self._gateway)
        for role, pids in roles.items():
            with suppress(FileNotFoundError, ProcessLookupError):
                self.memory[role] += [(now_s, processes.memory_bytes(pid)) for pid in pids]
        if now_s >= self._progress_at_s:
            self._progress_at_s = now_s + PROGRESS_S
            with suppress(OSError):
                self._tell(now_s, self._gateway.metrics())

    def _tell(self, now_s: float, metrics: Metrics) -> None:
        lag_s = metrics.total("spanmeter_books_lag_seconds")
        self.most_lag_s = max(self.most_lag_s, lag_s)
        calls = metrics.total("spanmeter_calls_total")
        held = {role: max(at[1] for at in seen[-2:]) >> 20 for role, seen in self.memory.items()}
        self._say(
            f"{now_s - self._began_s:6.0f} s  calls counted {calls:9.0f}  faults"
            f" {len(self.faults):4d}  lag {lag_s:5.2f} s  MB {held}"
        )

    def quarters(self) -> dict[str, tuple[float, float]]:
        """Return the mean memory of the first and the last quarter of the time, in bytes."""
        return {role: _quarters(seen) for role, seen in self.memory.items()}


def soak(plan: Plan, folder: Path, say: Callable[[str], None]) -> Report:
    """Run a soak and judge it; `say` is given a line of progress now and then."""
    say(f"seed {plan.seed}: {plan.seconds:.0f} s at {plan.rate:.0f} calls/s")
    with ExitStack() as open_:
        base_url = open_.enter_context(_provider())
        sink = open_.enter_context(SoakSink())
        here = {"base_url": base_url}
        gateway = open_.enter_context(
            GatewayProcess(
                upstreams={"openai": here, "anthropic": here},
                workers=plan.workers,
                settings={"prices": PRICES},
                environ=sink.environ | {"OTEL_METRIC_EXPORT_INTERVAL": "5000"},
            )
        )
        chaos = Chaos(plan, gateway, say)
        began_s = time.monotonic()
        with Load(plan, gateway.url, folder / "calls.ndjson") as load:
            chaos.run()
        seconds = time.monotonic() - began_s
        calls, losts = load.read()
        metrics = _settled(gateway, sink)
        court = Court(chaos.faults, losts, sink.ends())
        report = Report(plan, court.judge(calls), seconds=seconds, most_lag_s=chaos.most_lag_s)
        _count(report, chaos, calls)
        report.verdict.violations += _disagreements(metrics, sink)
        report.verdict.violations += _strain(chaos, gateway)
    return report


def _settled(gateway: GatewayProcess, sink: SoakSink) -> Metrics:
    """Wait until nothing more comes: nothing is in flight, and all counted calls have spans.

    For a while: a receipt of the last call may be in its relay's memory, where nobody sees it.
    """
    seen, since_s = 0.0, 0.0

    def is_settled(now: Metrics) -> bool:
        nonlocal seen, since_s
        ends = sum(map(len, sink.ends().values()))
        calls = now.total("spanmeter_calls_total")
        if calls != seen:
            seen, since_s = calls, time.monotonic()
        busy = now.total("spanmeter_request_active") or now.total("spanmeter_span_queue_size_bytes")
        is_quiet = time.monotonic() - since_s > CERTAIN_S
        return not busy and calls == ends and is_quiet

    with suppress(TimeoutError):  # what is unequal then is named
        gateway.wait_metrics(is_settled, timeout_s=SETTLED_S)
    return gateway.metrics()


def _disagreements(metrics: Metrics, sink: SoakSink) -> Iterator[str]:
    yield from unequal(sink.ends(), _counted(metrics))
    found = differences(metrics)
    if found != NONE_DIFFERS:
        yield f"reconciliation: {found}"
    if sink.altered:
        yield f"{sink.altered} spans came again with another end"
    dropped = metrics.by("spanmeter_receipts_dropped_total", "reason")
    if dropped:
        yield f"receipts dropped: {dropped}"


def _counted(metrics: Metrics) -> dict[End, int]:
    counted: defaultdict[End, int] = defaultdict(int)
    for labels, value in metrics.select("spanmeter_calls_total"):
        if value:
            feature, outcome = labels["spanmeter_feature"], labels["spanmeter_outcome"]
            counted[feature, outcome, labels["error_type"]] += round(value)
    return counted


def _strain(chaos: Chaos, gateway: GatewayProcess) -> Iterator[str]:
    for role, (first, last) in chaos.quarters().items():
        if last > first * GROWTH + SLACK_BYTES:
            yield f"memory of {role} grew from {first / 2**20:.0f} to {last / 2**20:.0f} MB"
    if chaos.most_lag_s > MOST_LAG_S:
        yield f"the books lagged by {chaos.most_lag_s:.0f} s"
    for line in gateway.errors.splitlines():
        if any(mark in line for mark in IS_BAD) and not any(text in line for text in EXPECTED):
            yield f"log: {line}"


def _count(report: Report, chaos: Chaos, calls: Sequence[Call]) -> None:
    for fault in chaos.faults:
        report.faults[fault.kind] = report.faults.get(fault.kind, 0) + 1
    for call in calls:
        report.calls_by_sort[call.sort] = report.calls_by_sort.get(call.sort, 0) + 1
    for role, (first, last) in chaos.quarters().items():
        report.memory_mb[role] = round(first / 2**20, 1), round(last / 2**20, 1)


def _quarters(seen: Sequence[tuple[float, int]]) -> tuple[float, float]:
    size = max(1, len(seen) // 4)
    return (
        sum(held for _, held in seen[:size]) / size,
        sum(held for _, held in seen[-size:]) / size,
    )


@contextmanager
def _provider() -> Iterator[str]:
    """Run the pretend provider as a process of its own, and keep it from remembering."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.soak.provider"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        assert process.stdin is not None
        process.stdin.close()


def printed(report: Report) -> dict[str, Any]:
    """Give a report as values for JSON."""
    return asdict(report) | {"is_kept": report.is_kept}
