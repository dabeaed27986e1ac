"""What label values cost books: CPU, memory, disk and pages as features x models x tag values grow.

Receipts are written here, as a relay would: the same number in each case, spread over the
combinations, so that what differs between two lines is the number of combinations alone.
"""

import os
import random
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from pathlib import Path
from statistics import median

import msgspec

from bench.books import MODULE
from bench.candidates import free_ports
from bench.gateway import Gateway
from bench.processes import CANDIDATE_CPU, Failed, Started, cpu_seconds, rss_bytes, running
from bench.relay import configuration, tell
from bench.rig import Door, Mock, Rig
from bench.stage import tell as say
from spanmeter.usage import Usage
from spanmeter_gateway.board import Board
from spanmeter_gateway.metering.overrides import PriceOverride
from spanmeter_gateway.receipt import Attempt, Receipt, Trace
from spanmeter_gateway.spool.append import SpoolWriter
from spanmeter_gateway.start import Start

CASES = (
    *((1, 1, 1), (10, 1, 1), (100, 1, 1), (200, 1, 1)),
    *((10, 5, 1), (100, 5, 1), (10, 5, 10), (100, 5, 10)),
    *((100, 20, 1), (100, 20, 10), (200, 20, 50)),
)
"""Features, models, values of one tag. The last need more series than the default budget has."""
QUICK_CASES = ((1, 1, 1), (100, 1, 1), (100, 5, 10))
RECEIPTS, QUICK_RECEIPTS = 20_000, 4_000
SEGMENT_RECEIPTS = 500
"""What a relay leaves in a flush at 2,000 calls/s."""
FLUSH_S = 0.02
EXPORT_S = 2.0
IDLE_S = 6.0
"""Time for three exports of all metrics with nothing else to do."""
SCRAPES = 3
ENTRY_LIMIT_S = 180.0
LOOK_S = 0.05
_PRICES = (
    PriceOverride(
        model="model-*", input_usd_per_mtok=Decimal("0.15"), output_usd_per_mtok=Decimal("0.60")
    ),
)
HEADINGS = {
    "features": "features",
    "models": "models",
    "tag_values": "tag values",
    "breakdowns": "combinations met",
    "series": "series",
    "new_cpu_us": "CPU per receipt while values are new, us",
    "cpu_us": "CPU per receipt later, us",
    "entered_per_s": "receipts/s entered",
    "written_kb": "KB written per segment",
    "rss_mb": "memory, MB",
    "counters_mb": "counters on disk, MB",
    "page_mb": "/metrics page, MB",
    "scrape_s": "scrape, s",
    "export_s": "CPU per OTLP export of metrics, s",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One case, and what it cost."""

    features: int
    models: int
    tag_values: int
    breakdowns: int
    series: int
    new_cpu_us: float
    cpu_us: float
    entered_per_s: float
    written_kb: float
    rss_mb: float
    counters_mb: float
    page_mb: float
    scrape_s: float
    export_s: float


def run(rig: Rig, *, json: Path | None, is_quick: bool) -> None:
    """Measure every case and print a Markdown table."""
    costs, receipts = [], QUICK_RECEIPTS if is_quick else RECEIPTS
    with rig.mock() as mock:
        for case in QUICK_CASES if is_quick else CASES:
            say(f"{case[0]} features, {case[1]} models, {case[2]} tag values")
            costs.append(_measure(rig, mock, case, receipts=receipts))
    sys.stdout.write(table(costs))
    if json is not None:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(costs), indent=1) + b"\n")


def table(costs: list[Cost]) -> str:
    """Write the lines as a Markdown table."""
    names = [each.name for each in fields(Cost)]
    lines = [" | ".join(HEADINGS[name] for name in names), " | ".join("---:" for _ in names)]
    lines += [" | ".join(_cell(getattr(cost, name)) for name in names) for cost in costs]
    return "".join(f"| {line} |\n" for line in lines)


def _cell(value: float) -> str:
    if isinstance(value, int) or value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _measure(rig: Rig, mock: Mock, case: tuple[int, int, int], *, receipts: int) -> Cost:
    home = rig.folder / "-".join(map(str, case))
    data_dir = home / "data"
    (data_dir / "spool").mkdir(parents=True)
    relay_port, books_port = free_ports(2)
    config = replace(
        configuration(mock, home, relay_port), books_port=books_port, prices=_PRICES, workers=1
    )
    Board.create(data_dir / "board", config.workers)
    breakdowns = _fill(data_dir / "spool", case, receipts)
    waiting = home / "waiting"
    (data_dir / "spool").rename(waiting)
    (data_dir / "spool").mkdir()
    segments = sorted(waiting.glob("*.ndjson"))
    with _books(mock, home, Start(config)) as started:
        books = Gateway(started, Door(relay_port), books_port, data_dir)
        books.await_page()
        pids = started.pids
        half = len(segments) // 2
        new, known = (
            _enter(part, data_dir / "spool", started) for part in (segments[:half], segments[half:])
        )
        idle_s = cpu_seconds(pids)
        time.sleep(IDLE_S)
        idle_s = cpu_seconds(pids) - idle_s
        pages = [books.page() for _ in range(SCRAPES)]
        return Cost(
            features=case[0],
            models=case[1],
            tag_values=case[2],
            breakdowns=breakdowns,
            series=sum(line[:1] not in (b"", b"#") for line in pages[-1].text.split(b"\n")),
            new_cpu_us=new.cpu_s / receipts * 2e6,
            cpu_us=known.cpu_s / receipts * 2e6,
            entered_per_s=receipts / 2 / known.seconds,
            written_kb=known.written_bytes / half / 1e3,
            rss_mb=rss_bytes(pids) / 1e6,
            counters_mb=sum(file.stat().st_size for file in data_dir.glob("books.sqlite*")) / 1e6,
            page_mb=len(pages[-1].text) / 1e6,
            scrape_s=median(page.seconds for page in pages),
            export_s=idle_s * EXPORT_S / IDLE_S,
        )


@contextmanager
def _books(mock: Mock, home: Path, start: Start) -> Iterator[Started]:
    environ = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{mock.plain_port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRIC_EXPORT_INTERVAL": f"{EXPORT_S * 1000:.0f}",
    }
    command = [sys.executable, "-m", MODULE]
    with running(command, cpu=CANDIDATE_CPU, log=home / "log", environ=environ) as started:
        tell(started, start)
        yield started


@dataclass(frozen=True, slots=True)
class Entered:
    """What it took to enter some segments."""

    cpu_s: float
    seconds: float
    written_bytes: int


def _enter(segments: Sequence[Path], spool: Path, started: Started) -> Entered:
    pids = started.pids
    spent_s, written, began_s = cpu_seconds(pids), _written_bytes(pids), time.monotonic()
    for segment in segments:
        segment.rename(spool / segment.name)
    _await_entry(spool, started)
    return Entered(
        cpu_s=cpu_seconds(pids) - spent_s,
        seconds=time.monotonic() - began_s,
        written_bytes=_written_bytes(pids) - written,
    )


def _await_entry(spool: Path, started: Started) -> None:
    # Not by /metrics: reading large pages again and again would be part of what is measured.
    until = time.monotonic() + ENTRY_LIMIT_S
    while any(spool.glob("*.ndjson")):
        if time.monotonic() > until or not started.is_alive:
            raise started.complain("receipts were not entered")
        time.sleep(LOOK_S)


def _fill(spool: Path, case: tuple[int, int, int], receipts: int) -> int:
    """Write receipts as a relay does; returns how many combinations they have."""
    chance = random.Random(case[0])
    writer = SpoolWriter(spool, worker=0, on_drop=_refuse_drop, flush_interval_s=FLUSH_S)
    writer.start()
    met = set()
    encode = msgspec.json.Encoder().encode
    for number in range(receipts):
        choice = tuple(chance.randrange(size) for size in case)
        met.add(choice)
        writer.put(encode(_receipt(*choice)))
        if not (number + 1) % SEGMENT_RECEIPTS:
            time.sleep(2 * FLUSH_S)  # one flush, one segment
    writer.close()
    return len(met)


def _refuse_drop(reason: str, receipts: int) -> None:
    raise Failed(f"{receipts} receipts could not be written: {reason}")


def _receipt(feature: int, model: int, tag_value: int) -> Receipt:
    now_ns, span_id = time.time_ns(), secrets.token_hex(8)
    trace = Trace(trace_id=secrets.token_hex(16), span_id=secrets.token_hex(8), random=True)
    attempt = Attempt(
        span_id=span_id,
        upstream="openai",
        provider="openai",
        started_at_ns=now_ns,
        duration_ns=400_000_000,
        model=f"model-{model}",
        server_address="api.openai.com",
        server_port=443,
        status=200,
    )
    return Receipt(
        call_id=secrets.token_hex(16),
        started_at_ns=now_ns,
        duration_ns=401_000_000,
        first_byte_ns=400_000_000,
        relay_ns=90_000,
        outcome="ok",
        feature=f"feature-{feature}",
        tags=(("env", f"value-{tag_value}"),),
        route="/v1/chat/completions",
        http_status=200,
        request_bytes=2_200,
        response_bytes=1_000,
        dialect="openai_chat",
        operation="chat",
        provider="openai",
        upstream="openai",
        request_model=f"model-{model}",
        response_model=f"model-{model}",
        usage=Usage(input_tokens=500, output_tokens=120),
        trace=trace,
        attempts=(attempt,),
    )


def _written_bytes(pids: tuple[int, ...]) -> int:
    """Add up what processes had the disk write: proc(5), io."""
    lines = [line for pid in pids for line in Path(f"/proc/{pid}/io").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))
