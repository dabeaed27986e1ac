"""The demonstration as a person runs it, with nothing pretended but the provider."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path


def _children(pid: int) -> list[int]:
    own = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in own]


def test_live_numbers_come_without_a_key_and_everything_ends_at_ctrl_c(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "spanmeter_gateway.cli", "demo", "--data-dir", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # An empty folder is the PATH, so that nothing is started beside it.
        env={name: text for name, text in os.environ.items() if not name.endswith("_KEY")}
        | {"PATH": str(tmp_path)},
    ) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        totals = (line for line in demo.stdout if re.match(r"\s*all\s+[1-9]", line))
        first, second = next(totals), next(totals)
        children = _children(demo.pid)
        demo.send_signal(signal.SIGINT)
        said = demo.stderr.read()
        status = demo.wait(timeout=60)

    assert (status, said) == (0, "")
    assert int(second.split()[1].replace(",", "")) > int(first.split()[1].replace(",", ""))
    assert len(children) == 2
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []
