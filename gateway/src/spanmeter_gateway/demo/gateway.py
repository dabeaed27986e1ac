"""The gateway as a child of the demonstration: `serve`, ended by the end of standard input."""

import logging
import os
import signal
import sys
import threading

from spanmeter_gateway import supervisor
from spanmeter_gateway.privacy import begin_process
from spanmeter_gateway.start import Start


def main() -> None:
    """Serve the configuration that comes as a line on standard input."""
    begin_process(logging.WARNING)
    start = Start.read(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.exit(supervisor.serve(start.config, on_ready=lambda: None))


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
