"""A program that is not ours, as a child of the demonstration: ended with standard input."""

import os
import signal
import subprocess
import sys
import threading
from types import FrameType


def main() -> None:
    """Run `LOG PROGRAM ARGUMENT...`: what the program says goes to the file LOG."""
    log, *argv = sys.argv[1:]
    with open(log, "ab") as out:
        program = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def end(_number: int, _frame: FrameType | None) -> None:
        program.terminate()

    signal.signal(signal.SIGTERM, end)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.exit(program.wait())


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
