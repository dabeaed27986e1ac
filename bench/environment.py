"""What a result was measured on: the machine, and the versions of everything that took part."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.peers import Peer

REPOSITORY = Path(__file__).parent.parent
PYTHON_PACKAGES = ("spanmeter-gateway", "uvicorn", "uvloop", "httptools", "msgspec", "mypy")
PROGRAMS = (("nginx", "-v"), ("go", "version"), ("node", "--version"), ("cargo", "--version"))
MEMORY_FILE = Path("/proc/meminfo")
PROCESSOR_FILE = Path("/proc/cpuinfo")
BYTES_PER_GB = 1_000_000_000


def describe(peers: Sequence[Peer]) -> tuple[tuple[str, str], ...]:
    """Name the machine, the moment, the command and every version."""
    packages = " ".join(f"{name} {_version(name)}" for name in PYTHON_PACKAGES)
    programs = ", ".join(_said(*command) for command in PROGRAMS)
    return (
        ("date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("command", command(sys.argv[1:])),
        ("source", _said("git", "-C", str(REPOSITORY), "describe", "--always", "--dirty")),
        ("processor", f"{os.cpu_count()} x {_processor()}"),
        ("memory", f"{_memory_bytes() / BYTES_PER_GB:.0f} GB"),
        ("system", f"{_distribution()}, Linux {platform.release()}"),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        ("packages", packages),
        ("programs", programs),
        ("peers", ", ".join(one.package.requirement for one in peers) or "none"),
    )


def command(arguments: Sequence[str]) -> str:
    """Write the command that was given, but for where its JSON went: that is of one machine."""
    kept = [
        argument
        for place, argument in enumerate(arguments)
        if not argument.startswith("--json")
        and "--json" not in arguments[max(0, place - 1) : place]
    ]
    return " ".join(["python -m bench", *kept])


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "-"


def _said(*command: str) -> str:
    """Give the first line that a program prints of itself; nginx prints it as an error."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path}
        )
    except FileNotFoundError:
        return f"no {command[0]}"
    line = (done.stdout or done.stderr).strip().partition("\n")[0]
    return f"{command[0]} {line}" if line.startswith("v") else line


def _distribution() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")


def _processor() -> str:
    for line in PROCESSOR_FILE.read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()


def _memory_bytes() -> int:
    words = MEMORY_FILE.read_text().split()
    return int(words[words.index("MemTotal:") + 1]) * 1024
