"""A spool that cannot be written: no start, and at run time calls go on and are counted again."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest
from tests import processes
from tests.accounts import NONE_DIFFERS, Account, differences
from tests.conformance.evidence import read_lines
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess
from tests.programs import free_ports
from tests.traffic import PRICES, EndlessStream, Made, Traffic
from tests.unwritable_folder import read_only, replaced

from spanmeter_gateway.relay.relay import OPEN_AFTER_S

DROPPED = "spanmeter_receipts_dropped_total"
WAYS = {"read-only": read_only, "a file in its place": replaced}
Way = Callable[[Path], AbstractContextManager[str]]


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def forbidden(request: pytest.FixtureRequest) -> Way:
    way: Way = request.param
    return way


@pytest.fixture
def gateway(provider: ReplayProvider) -> Iterator[GatewayProcess]:
    here = {"base_url": provider.base_url}
    with GatewayProcess(
        upstreams={"openai": here, "anthropic": here}, settings={"prices": PRICES}
    ) as running:
        yield running


def test_while_the_spool_cannot_be_written_calls_go_on_and_are_counted_as_dropped(
    gateway: GatewayProcess, forbidden: Way
) -> None:
    with ExitStack() as forbidding:
        with ExitStack() as streaming:
            with processes.frozen(processes.books(gateway)):
                streaming.enter_context(EndlessStream(gateway.url, "long", "long-1"))
                processes.wait_until(lambda: read_lines(gateway.data_dir, "open"))
            with Traffic(gateway.url, "before", pause_s=0.01) as before:
                before.wait_more(20)
            gateway.wait_metrics(lambda now: Account.read(now, "before").total == len(before.made))
            forbidding.enter_context(forbidden(gateway.data_dir / "spool"))
            with Traffic(gateway.url, "within", pause_s=0.01) as within:
                processes.wait_until(lambda: len(_never_open(within)) > 20)
        gateway.wait_metrics(lambda now: now.total(DROPPED) >= len(_never_open(within)))
    with Traffic(gateway.url, "after", pause_s=0.01) as after:
        after.wait_more(20)
    seen = gateway.wait_metrics(
        lambda now: (
            sum(Account.read(now, name).total for name in ("within", "after", "long"))
            + now.total(DROPPED)
            == len(within.made) + len(after.made) + 1
        )
    )

    made = [*before.made, *within.made, *after.made]
    assert [call for call in made if call.status != call.kind.status] == []
    kept = Account.read(seen, "within").total
    assert kept <= len(within.made) - len(_never_open(within))
    assert seen.by(DROPPED, "reason") == {"spool_error": len(within.made) - kept}
    for traffic in (before, after):
        assert Account.read(seen, traffic.name) == Account.of(traffic.made)
    assert Account.read(seen, "long").calls == {("long", "cancelled", "client_disconnected"): 1}
    assert differences(seen) == NONE_DIFFERS


def _never_open(traffic: Traffic) -> list[Made]:
    """The calls too short to be noted as open; the end of one that was is kept, not dropped."""
    return [call for call in traffic.made if call.took_s < OPEN_AFTER_S]


def test_a_spool_that_cannot_be_written_at_the_start_is_named_and_nothing_is_started(
    forbidden: Way, tmp_path: Path
) -> None:
    spool = tmp_path / "data" / "spool"
    spool.mkdir(parents=True)
    relay_port, books_port = free_ports(2)
    file = tmp_path / "spanmeter.yaml"
    file.write_text(
        f"{{listen: '127.0.0.1:{relay_port}', books: {{listen: '127.0.0.1:{books_port}'}}, "
        f"data_dir: {tmp_path / 'data'}}}"
    )

    with forbidden(spool) as says:
        ended = subprocess.run(
            [sys.executable, "-m", "spanmeter_gateway.cli", "serve", "--config", str(file)],
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    assert (ended.returncode, ended.stderr) == (
        1,
        f"spanmeter: data_dir: cannot write to {spool}: {says}; the gateway keeps its receipts "
        "there and needs a folder of its own\n",
    )
    assert sorted(path.name for path in spool.parent.iterdir()) == ["lock", "spool"]
