"""`spanmeter-instrument` and an application that knows nothing of it, as real processes."""

import os
import signal
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest
from tests.in_app.servers.arrivals import Arrivals
from tests.processes import wait_until

from spanmeter.settings import DESCRIBED

COMMAND = (sys.executable, "-m", "spanmeter.zero_code")
WAIT_S = 60
SECRET = "CANARY-93be"
SDK_CALL = """
import sys
import openai
with openai.OpenAI(default_headers={"x-script": "chat"}, max_retries=0) as client:
    prompt = [{"role": "user", "content": "CANARY-93be"}]
    answer = client.chat.completions.create(model=sys.argv[1], messages=prompt)
    sys.stdout.write(answer.choices[0].message.content)
"""
CALL = """
import os, sys
import httpx2
url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
body = {"model": sys.argv[1], "messages": [{"role": "user", "content": "CANARY-93be"}]}
answer = httpx2.post(url, json=body, headers={"x-script": "chat"}, timeout=30)
sys.stdout.write(answer.json()["choices"][0]["message"]["content"])
"""
PARENTS = {
    "subprocess": """
import subprocess, sys
sys.exit(subprocess.call([sys.executable, *sys.argv[1:]]))
""",
    "multiprocessing": """
import multiprocessing, runpy, sys
if __name__ == "__main__":
    del sys.argv[0]
    for method in ("spawn", "fork"):
        context = multiprocessing.get_context(method)
        child = context.Process(target=runpy.run_path, args=sys.argv[:1])
        child.start()
        child.join()
""",
}
SAID = {"SPANMETER_FEATURE": "nightly", "SPANMETER_TASK": "label", "SPANMETER_TAGS": "env:prod"}
ATTRIBUTED = ["nightly", "label", {"env": "prod"}]


def environ(url: str = "http://127.0.0.1:1", **more: str) -> dict[str, str]:
    """The variables of an application whose provider is this gateway."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SPANMETER_", "OTEL_", "PYTHON"))
    }
    app = {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": SECRET}
    return clean | app | {"SPANMETER_GATEWAY": url} | more


def run(
    *command: str | Path, env: dict[str, str], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *command], env=env, cwd=cwd, capture_output=True, text=True, timeout=WAIT_S,
        check=False,
    )  # fmt: skip


def run_code(code: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-c", code, *arguments, env=environ(**more))


def outcome(ended: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    return ended.returncode, ended.stdout, ended.stderr


@pytest.fixture
def app(tmp_path: Path) -> Path:
    file = tmp_path / "nightly_app.py"
    file.write_text(CALL)
    return file


def test_a_call_arrives_with_what_the_environment_says(app: Path, arrivals: Arrivals) -> None:
    app.write_text(SDK_CALL)

    ended = run(sys.executable, app, "zero-file", env=environ(arrivals.url, **SAID))

    assert outcome(ended) == (0, "pong", "")
    assert arrivals.of("zero-file") == ATTRIBUTED
    assert SECRET.encode() not in b"".join(arrivals.sink.bodies)


def test_so_it_does_from_a_module_and_from_a_script_with_an_interpreter_line(
    app: Path, arrivals: Arrivals
) -> None:
    script = app.with_name("script")
    script.write_text(f"#!{sys.executable}\n{CALL}")
    script.chmod(0o755)
    env = environ(arrivals.url, **SAID)

    module = run(sys.executable, "-m", app.stem, "zero-module", env=env, cwd=app.parent)
    scripted = run(script, "zero-script", env=env)

    assert (outcome(module), outcome(scripted)) == ((0, "pong", ""), (0, "pong", ""))
    assert arrivals.of("zero-module") == arrivals.of("zero-script") == ATTRIBUTED


@pytest.mark.parametrize(("start", "count"), [("subprocess", 1), ("multiprocessing", 2)])
def test_so_it_does_from_the_processes_that_the_application_starts(
    app: Path, arrivals: Arrivals, start: str, count: int
) -> None:
    parent = app.with_name("parent.py")
    parent.write_text(PARENTS[start])

    ended = run(sys.executable, parent, app, f"zero-{start}", env=environ(arrivals.url, **SAID))

    spans = arrivals.spans(f"zero-{start}", count=count)
    assert outcome(ended) == (0, "pong" * count, "")
    assert [span.attributes["spanmeter.feature"] for span in spans] == ["nightly"] * count


def test_what_the_code_says_counts_more(app: Path, arrivals: Arrivals) -> None:
    app.write_text(f"import spanmeter\nwith spanmeter.feature('said'):\n    exec({CALL!r})")

    ended = run(sys.executable, app, "zero-said", env=environ(arrivals.url, **SAID))

    assert outcome(ended) == (0, "pong", "")
    assert arrivals.of("zero-said") == ["said", "label", {"env": "prod"}]


@pytest.mark.parametrize(
    ("variable", "text", "attributed"),
    [
        ("SPANMETER_TAGS", "env", ["nightly", "label", {}]),
        ("SPANMETER_FEATURE", "untagged", ["untagged", "label", {"env": "prod"}]),
        ("SPANMETER_DIRECT", "perhaps", ATTRIBUTED),
        ("SPANMETER_GATEWAY", f"http://user:{SECRET}@gateway", ["untagged", None, {}]),
    ],
)
def test_a_wrong_variable_is_logged_in_a_line_and_the_application_runs_on(
    app: Path, arrivals: Arrivals, variable: str, text: str, attributed: list[object]
) -> None:
    model = f"zero-wrong-{variable[10:].lower()}"

    ended = run(sys.executable, app, model, env=environ(arrivals.url, **SAID) | {variable: text})

    first, *others = ended.stderr.splitlines()
    assert (ended.returncode, ended.stdout) == (0, "pong")
    assert first.startswith(f"{variable} is ignored: ")
    assert others == (
        ["No call is attributed: SPANMETER_GATEWAY says no address"]
        if variable == "SPANMETER_GATEWAY"
        else []
    )
    assert SECRET not in ended.stderr
    assert arrivals.of(model) == attributed


def test_without_any_variable_it_says_once_that_nothing_is_attributed() -> None:
    env = environ() | {"SPANMETER_GATEWAY": ""}

    ended = run(sys.executable, "-c", "print('ran')", env=env)

    assert outcome(ended) == (
        0,
        "ran\n",
        "spanmeter-instrument: SPANMETER_GATEWAY is not set: no call is attributed\n",
    )


def test_the_exit_status_is_the_applications() -> None:
    assert outcome(run_code("import sys; sys.exit(7)")) == (7, "", "")


def test_arguments_and_input_reach_the_application_unchanged() -> None:
    shown = ["-m", "--help", "", "a b", "--", "caf\xe9"]

    ended = run_code("import sys; print(sys.argv[1:])", *shown)

    assert outcome(ended) == (0, f"{shown}\n", "")


@pytest.mark.parametrize("is_handled", [True, False])
def test_signals_reach_the_application_which_has_the_commands_process_id(
    *, is_handled: bool, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    handle = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))" if is_handled else ""
    code = (
        "import os, pathlib, signal, sys, time\n"
        f"{handle}\n"
        f"pathlib.Path({str(ready)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([*COMMAND, sys.executable, "-c", code], env=environ()) as process:
        wait_until(lambda: ready.exists() and ready.read_text(), timeout_s=WAIT_S)
        process.send_signal(signal.SIGTERM)
        status = process.wait(WAIT_S)

    assert int(ready.read_text()) == process.pid
    assert status == (5 if is_handled else -signal.SIGTERM)


def test_what_is_on_the_path_stays_there(tmp_path: Path) -> None:
    (tmp_path / "kept.py").write_text("WORD = 'kept'")
    code = "import kept, os; print(kept.WORD, os.environ['PYTHONPATH'].split(os.pathsep)[1:])"
    path = [str(tmp_path), "/nowhere"]

    ended = run_code(code, PYTHONPATH=os.pathsep.join(path))

    assert outcome(ended) == (0, f"kept {path}\n", "")


def test_another_sitecustomize_still_runs_and_is_what_is_found_under_that_name(
    tmp_path: Path,
) -> None:
    (tmp_path / "sitecustomize.py").write_text("WORD = 'customized'")
    code = "import sitecustomize, sys; print(sitecustomize.WORD, 'spanmeter.hooks' in sys.modules)"

    once = run_code(code, PYTHONPATH=str(tmp_path))
    twice = run(*COMMAND, sys.executable, "-c", code, env=environ(PYTHONPATH=str(tmp_path)))

    assert outcome(once) == outcome(twice) == (0, "customized True\n", "")


def test_another_sitecustomize_that_fails_is_reported_by_python_and_calls_are_attributed(
    app: Path, arrivals: Arrivals
) -> None:
    (app.parent / "sitecustomize.py").write_text("raise LookupError('not ours')")
    env = environ(arrivals.url, **SAID, PYTHONPATH=str(app.parent))

    ended = run(sys.executable, app, "zero-failing-site", env=env)

    assert (ended.returncode, ended.stdout) == (0, "pong")
    assert "LookupError: not ours" in ended.stderr
    assert arrivals.of("zero-failing-site") == ATTRIBUTED


def test_a_python_without_the_package_says_so_and_runs_the_application(tmp_path: Path) -> None:
    venv.create(tmp_path, symlinks=True)
    (tmp_path / "sitecustomize.py").write_text("WORD = 'customized'")
    python = tmp_path / "bin/python"
    code = "import sitecustomize; print(sitecustomize.WORD)"

    ended = run(python, "-c", code, env=environ(PYTHONPATH=str(tmp_path)))

    assert outcome(ended) == (
        0,
        "customized\n",
        f"No call is attributed: {python} has no package spanmeter.\n",
    )


def test_no_library_is_imported_that_the_application_does_not_import() -> None:
    libraries = "{'aiohttp', 'httpx', 'httpx2', 'msgspec', 'opentelemetry', 'requests'}"

    ended = run_code(f"import sys; print(sorted({libraries} & set(sys.modules)))")

    assert outcome(ended) == (0, "[]\n", "")


def test_a_command_that_cannot_be_run_ends_as_in_a_shell(tmp_path: Path) -> None:
    file = tmp_path / "no-program"
    file.write_text("")

    missing = run("no-such-program-here", env=environ())
    forbidden = run(file, env=environ())

    assert (missing.returncode, forbidden.returncode) == (127, 126)
    assert missing.stderr.startswith("spanmeter-instrument: no-such-program-here: ")
    assert len(missing.stderr.splitlines()) == len(forbidden.stderr.splitlines()) == 1


def test_its_help_lists_every_variable() -> None:
    helped = run("--help", env=environ())
    unhelped: Any = run(env=environ())

    assert helped.returncode == 0
    assert [name for name in DESCRIBED if name not in helped.stdout] == []
    assert (unhelped.returncode, "usage: spanmeter-instrument" in unhelped.stderr) == (2, True)
