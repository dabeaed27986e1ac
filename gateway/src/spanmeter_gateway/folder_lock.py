"""The data folder as a gateway finds it: that it can be written, and the lock on it.

One gateway enters its receipts at a time.
"""

import fcntl
import os
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Self

from spanmeter_gateway.errors import StartError


class FolderLock:
    """The folder, made if need be, and its lock; raises `StartError` where it cannot be written.

    Whoever inherits `fd` holds the lock too, until it ends.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise cannot_write(folder, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def take(self) -> None:
        """Take the lock; raises `StartError` if another gateway has it."""
        if not self.is_taken():
            raise StartError(
                f"data_dir: {self._folder} is in use by another gateway; stop it, take its place "
                "with `spanmeter serve --take-over`, or give this one a data_dir of its own"
            )

    def is_taken(self) -> bool:
        """Try to take the lock; say whether it is ours now."""
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Let go of it, if this was not done before."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def check_spool(folder: Path) -> None:
    """Make the spool in the data folder, and try to write there; raises `StartError`.

    It may be a mount of its own, and a relay that cannot write there would only begin again.
    """
    spool = folder / "spool"
    try:
        spool.mkdir(exist_ok=True)
        with TemporaryFile(dir=spool):
            pass
    except OSError as error:
        raise cannot_write(spool, error) from error


def cannot_write(folder: Path, error: OSError) -> StartError:
    """Say in words that the data folder cannot be written."""
    return StartError(
        f"data_dir: cannot write to {folder}: {error.strerror}; the gateway keeps its receipts "
        "there and needs a folder of its own"
    )
