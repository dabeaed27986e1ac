import math
import string

import pytest
from bench.packages import Package
from bench.peers import PEERS, Peer
from bench.rig import Figures, Quantiles
from bench.rows import number
from bench.stage import Progress
from bench.together import Sight, lags_s, quantile

NO_DELAYS = Quantiles(count=0, p50=0, p90=0, p99=0, max=0)
WORDS = {"home", "folder", "file", "port", "spare_port", "upstream", "key"}


def figures_of(*ended_by_tick: int, began_s: float) -> Figures:
    return Figures(
        seconds=1,
        calls=sum(ended_by_tick),
        chunks=0,
        sent=sum(ended_by_tick),
        errors=0,
        first_error="",
        latency_us=NO_DELAYS,
        first_us=NO_DELAYS,
        chunk_us=NO_DELAYS,
        cpu_s=0,
        rig_cpu_s=0,
        rss_bytes=0,
        busy={},
        stolen=0,
        began_ns=int(began_s * 1e9),
        ended_by_tick=ended_by_tick,
    )


def test_a_call_lags_from_its_end_to_the_first_page_that_counts_it_and_all_before():
    sight = Sight(port=0, seen=[(10.1, 7), (10.5, 10), (11.0, 12)])

    lags = lags_s(sight, figures_of(3, 0, 2, began_s=10.0), 7)

    assert [(round(lag, 6), calls) for lag, calls in lags] == [(0.49, 3), (0.95, 2)]


def test_a_quantile_counts_calls_and_not_ticks():
    lags = [(5.0, 1), (0.2, 98), (1.0, 1)]

    assert [quantile(lags, share) for share in (0.5, 0.98, 0.99, 1.0)] == [0.2, 0.2, 1.0, 5.0]


def test_a_figure_that_is_not_there_is_printed_as_a_dash_and_not_as_zero():
    assert [number(math.nan), number(0.0), number(0.2284), number(34880.4)] == [
        "-",
        "0",
        "0.228",
        "34,880",
    ]


@pytest.mark.parametrize(
    ("package", "requirement"),
    [
        (Package("pip", "litellm[proxy]", "1.0", "x"), "litellm[proxy]==1.0"),
        (Package("npm", "@portkey-ai/gateway", "1.0", "x"), "@portkey-ai/gateway@1.0"),
        (Package("cargo", "noveum-ai-gateway", "1.0", "x"), "noveum-ai-gateway@1.0"),
    ],
)
def test_a_peer_is_asked_for_by_its_exact_version(package: Package, requirement: str):
    assert package.requirement == requirement


@pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)
def test_the_texts_of_a_peer_name_only_what_a_run_knows(peer: Peer):
    texts = (*peer.command, peer.configuration, *peer.environ.values(), *peer.headers)

    named = {name for text in texts for _, name, _, _ in string.Formatter().parse(text) if name}

    assert named <= WORDS


def test_progress_tells_the_rest_by_the_pace_so_far(capsys: pytest.CaptureFixture[str]):
    progress = Progress({"calls": 40, "books": 300})
    progress.begun_at -= 80
    progress.end("calls", [])

    progress.begin("books")

    assert capsys.readouterr().err == "bench: 2 of 2, books: about 10 min left\n"
