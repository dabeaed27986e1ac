"""Other gateways' packages: one exact version each, from its registry into the cache, once."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.processes import Failed
from bench.rig import CACHE

HOMES = CACHE / "peers"
LIMIT_S = 1800.0
"""Measured on two cores: under a minute from PyPI or npm (LiteLLM: two), 8 from crates.io."""

Client = Literal["pip", "npm", "cargo"]


@dataclass(frozen=True, slots=True)
class Package:
    """One version in a registry, and the client that brings it."""

    client: Client
    name: str
    version: str
    folder: str

    @property
    def requirement(self) -> str:
        """Name it as its client does."""
        return f"{self.name}{'==' if self.client == 'pip' else '@'}{self.version}"

    @property
    def home(self) -> Path:
        """Say where it is, or will be."""
        return HOMES / self.folder

    @property
    def _marker(self) -> Path:
        return self.home / f"{self.requirement.replace('/', '+')}.installed"

    def install(self) -> None:
        """Install it where it is not yet; half of it, or another version, is removed first."""
        if self._marker.exists():
            return
        print(f"bench: installing {self.requirement} into {self.home}", file=sys.stderr)
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        for command in self._commands():
            self._run(command)
        shutil.rmtree(self.home / "build", ignore_errors=True)
        self._marker.touch()

    def _commands(self) -> list[list[str]]:
        home = str(self.home)
        match self.client:
            case "pip":
                program = str(self.home / "bin" / "pip")
                return [
                    [sys.executable, "-m", "venv", home],
                    [program, "install", "--quiet", self.requirement],
                ]
            case "npm":
                quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
                return [["npm", "install", "--prefix", home, *quiet, self.requirement]]
            case "cargo":
                return [["cargo", "install", "--locked", "--root", home, self.requirement]]

    def _run(self, command: list[str]) -> None:
        environ = {**os.environ, "CARGO_TARGET_DIR": str(self.home / "build")}
        try:
            done = subprocess.run(
                ["nice", "-n", "15", *command],
                env=environ,
                capture_output=True,
                timeout=LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Failed(f"{self.requirement} took over {LIMIT_S:.0f} s to install") from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines() or ["nothing"]
            raise Failed(f"{self.requirement} is not installed; {command[0]} said: {said[-1]}")
