"""The page on the package: each example runs as a program, and is recorded as the page says."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from tests.docs_examples.conftest import KEYS, Calls
from tests.docs_examples.snippets import DOCS, GATEWAY, Snippet, snippets
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess
from tests.processes import is_answering, wait_until
from tests.programs import free_ports

import spanmeter
from spanmeter import settings

PAGE = (DOCS / "in-app.md").read_text()
PROJECT = DOCS.parent / "instrumentation/pyproject.toml"
NOT_FOR_APPLICATIONS = {"Attribution", "SpanmeterError", "UnreadableBody"}
SNIPPETS = snippets("in-app.md")
EXAMPLES = [snippet for snippet in SNIPPETS if snippet.recorded or snippet.prints]
TIMEOUT_S = 90.0
NOTEBOOK = """
import ast, asyncio, pathlib, sys

async def main():
    names = {}
    for cell in sys.argv[1:]:
        text = pathlib.Path(cell).read_text()
        if (waiting := eval(compile(text, cell, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)):
            await waiting
    await names["client"].close()

asyncio.run(main())
"""
"""What a notebook does with its cells: one after the other, with the same names, in one loop."""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder with the files of a section."""

    folder: Path
    environ: Mapping[str, str]
    snippet: Snippet

    def run(self, *command: str) -> str:
        """Run a program to its end, and return what it printed; it must not fail."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=dict(self.environ),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.stderr == ""
        assert done.returncode == 0
        return done.stdout

    @contextmanager
    def running(self, *command: str) -> Iterator[None]:
        """Keep a program running meanwhile."""
        with (self.folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=dict(self.environ), stdout=log, stderr=log
            )
        try:
            yield
        finally:
            process.terminate()
            process.wait(TIMEOUT_S)

    @contextmanager
    def serving(self, module: str, port: int) -> Iterator[str]:
        """Serve a module's `app` meanwhile, and give its address."""
        server = (sys.executable, "-m", "uvicorn", f"{module}:app", "--port", str(port))
        with self.running(*server):
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: is_answering(f"{url}/openapi.json"), timeout_s=TIMEOUT_S)
            yield url


def script(place: Place) -> str:
    return place.run(sys.executable, place.snippet.name)


def by_shell(place: Place) -> str:
    module = f"{sys.executable} -m spanmeter.zero_code"
    commands = place.snippet.shell.replace(GATEWAY, place.environ["GATEWAY"])
    for name, real in (("spanmeter-instrument", module), (" python ", f" {sys.executable} ")):
        commands = commands.replace(name, real)
    return place.run("sh", "-ec", commands)


def web_application(place: Place) -> str:
    with place.serving("example", free_ports(1)[0]) as url:
        httpx2.get(f"{url}/chat/hello", timeout=TIMEOUT_S).raise_for_status()
        httpx2.get(f"{url}/search", params={"words": "a"}, timeout=TIMEOUT_S).raise_for_status()
    return ""


def two_services(place: Place) -> str:
    if "9000" not in place.snippet.code:
        return script(place)
    port = free_ports(1)[0]
    front = place.folder / "example.py"
    front.write_text(front.read_text().replace("9000", str(port)))
    with place.serving("embedding_service", port):
        return script(place)


def worker(place: Place) -> str:
    # Kombu's transport over files takes what one side wrote from another folder.
    (place.folder / "data_out").mkdir()
    (place.folder / "data_in").symlink_to("data_out")
    celery = (sys.executable, "-m", "celery", "-A", "shop_tasks", "worker", "--pool", "solo")
    celery += ("--loglevel", "info")
    with place.running(*celery):
        script(place)
        wait_until(lambda: "succeeded" in (place.folder / "log").read_text(), timeout_s=TIMEOUT_S)
    return ""


def notebook(place: Place) -> str:
    cells = [snippet for snippet in SNIPPETS if snippet.heading == "Notebook"]
    for number, cell in enumerate(cells):
        (place.folder / f"cell{number}").write_text(cell.code_at(place.environ["GATEWAY"]))
    names = [f"cell{number}" for number in range(len(cells))]
    return place.run(sys.executable, "-c", NOTEBOOK, *names)


LAUNCH: dict[str, Callable[[Place], str]] = {
    "FastAPI and other web frameworks": web_application,
    "Services behind services": two_services,
    "Celery": worker,
    "Notebook": notebook,
    "Without changing the code": by_shell,
}
"""How the examples of a section are run; elsewhere each is a program."""


@pytest.fixture
def environ(gateway: GatewayProcess, provider: ReplayProvider) -> dict[str, str]:
    ours = ("SPANMETER_", "OTEL_", "OPENAI_", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {
        **kept,
        **KEYS,
        "GATEWAY": gateway.url,
        # Calls to OpenAI itself go to the pretend provider, as if it were a proxy.
        "OPENAI_BASE_URL": "http://api.openai.com:443/v1",
        "OPENAI_CUSTOM_HEADERS": "x-script: fitting",
        "HTTP_PROXY": provider.base_url,
        "NO_PROXY": "127.0.0.1",
        "BROKER_URL": "filesystem://",
    }


def test_every_example_says_what_it_does_or_is_a_file_of_one_that_does() -> None:
    said = {snippet.heading for snippet in EXAMPLES}

    assert {snippet.heading for snippet in SNIPPETS} == said
    assert set(LAUNCH) <= said


def test_what_an_application_can_use_stands_on_the_page() -> None:
    words = set(re.findall(r"\w+", PAGE))
    extras = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    variables = re.findall(r"^\| (`SPANMETER_.*?) \|", PAGE, re.MULTILINE)

    assert set(spanmeter.__all__) - words == NOT_FOR_APPLICATIONS
    assert set(re.findall(r"spanmeter\[(\w+)\]", PAGE)) <= set(extras)
    assert set(re.findall(r"`(\w+)`", "".join(variables))) == set(settings.DESCRIBED)


@pytest.mark.parametrize("snippet", EXAMPLES, ids=lambda snippet: snippet.id)
def test_an_example_is_recorded_as_the_page_says(
    snippet: Snippet,
    gateway: GatewayProcess,
    environ: dict[str, str],
    calls: Calls,
    tmp_path: Path,
) -> None:
    for part in [*(each for each in SNIPPETS if each.heading == snippet.heading), snippet]:
        (tmp_path / part.name).write_text(part.code_at(gateway.url))

    printed = LAUNCH.get(snippet.heading, script)(Place(tmp_path, environ, snippet))

    assert printed == snippet.prints
    if snippet.recorded:
        recorded = calls.recorded(len(snippet.recorded))
        assert sorted(recorded, key=str) == sorted(snippet.recorded, key=str)
