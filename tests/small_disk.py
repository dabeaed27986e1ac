"""A disk that really is full: a small file system of its own where the machine lets us mount one.

Elsewhere the kernel refuses every write of the gateway's processes by their limit on a file's size,
which they cannot tell from a disk that refuses.
"""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tests.gateway_process import GatewayProcess

_BLOCK = b"\0" * 4096


class Disk(Protocol):
    """Where a gateway may keep its data."""

    folder: Path

    def fill(self, gateway: GatewayProcess) -> None:
        """Take all room away."""

    def make_room(self, gateway: GatewayProcess) -> None:
        """Give it back."""


class MountedDisk:
    """A file system in memory, filled by one file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, _gateway: GatewayProcess) -> None:
        """Take all room away."""
        file = os.open(self._ballast, os.O_WRONLY | os.O_CREAT)
        try:
            while os.write(file, _BLOCK):
                pass
        except OSError:
            return
        finally:
            os.close(file)

    def make_room(self, _gateway: GatewayProcess) -> None:
        """Give it back."""
        self._ballast.unlink()


class ForbiddenDisk:
    """An ordinary folder; the processes that run now may not write to any file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def pids(self, gateway: GatewayProcess) -> tuple[int, ...]:
        """Name the processes that may not write."""
        return gateway.child_pids

    def fill(self, gateway: GatewayProcess) -> None:
        """Take all room away."""
        for pid in self.pids(gateway):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    def make_room(self, gateway: GatewayProcess) -> None:
        """Give it back."""
        for pid in self.pids(gateway):
            resource.prlimit(
                pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            )


@contextmanager
def small_disk(folder: Path, size_bytes: int, otherwise: Disk | None = None) -> Iterator[Disk]:
    """Give a disk of this size at a folder, or else one that can be forbidden."""
    options = f"size={size_bytes}"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        yield otherwise or ForbiddenDisk(folder)
        return
    try:
        yield MountedDisk(folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
