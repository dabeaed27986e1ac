"""Flask behind gunicorn, with each kind of its workers: a call belongs to the route it serves."""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.in_app.servers.arrivals import Arrivals
from tests.processes import is_answering, wait_until
from tests.programs import free_ports

ROOT = Path(__file__).parents[3]
WORKERS = {
    "processes": ["--workers", "2"],
    "threads": ["--worker-class", "gthread", "--threads", "8"],
    "preloaded": ["--workers", "2", "--preload"],
}
WAIT_S = 60


@pytest.fixture(scope="module", params=WORKERS)
def shop(
    request: pytest.FixtureRequest, arrivals: Arrivals, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    [port] = free_ports(1)
    command = [sys.executable, "-m", "gunicorn", "tests.in_app.servers.flask_shop:app"]
    with (tmp_path_factory.mktemp("gunicorn") / "log.txt").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--bind", f"127.0.0.1:{port}", *WORKERS[request.param]],
            cwd=ROOT, stdout=log, stderr=log,
            env={**os.environ, "SHOP_GATEWAY": arrivals.url, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: is_answering(f"{url}/healthz"), timeout_s=WAIT_S)
            yield url
        finally:
            server.terminate()
            server.wait(WAIT_S)


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=WAIT_S) as answer:
        text: str = answer.read().decode()
    return text


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/chat/whole", ["support-chat", None, {}]),
        ("/search", ["search", None, {}]),
        ("/elsewhere", ["untagged", None, {}]),
        ("/chat/tagged", ["support-chat", "triage", {"team": "support"}]),
        ("/chat/streamed", ["support-chat", None, {}]),
    ],
)
def test_a_call_belongs_to_the_route_that_makes_it(
    shop: str, arrivals: Arrivals, path: str, expected: list[object]
) -> None:
    model = f"{shop}{path}"

    assert get(f"{shop}{path}?model={model}").endswith("chatcmpl-1")
    assert arrivals.of(model) == expected


def test_requests_at_once_do_not_mix(shop: str, arrivals: Arrivals) -> None:
    features = {"/chat/whole": "support-chat", "/chat/streamed": "support-chat",
                "/search": "search", "/elsewhere": "untagged"}  # fmt: skip
    asked = {f"{shop}{path}#{turn}": path for turn in range(6) for path in features}

    with ThreadPoolExecutor(12) as callers:
        urls = [f"{shop}{path}?model={model.replace('#', '%23')}" for model, path in asked.items()]
        assert all(callers.map(get, urls))

    assert {model: arrivals.of(model)[0] for model in asked} == {
        model: features[path] for model, path in asked.items()
    }
