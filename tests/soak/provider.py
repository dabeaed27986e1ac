"""The pretend provider as a process that forgets what it was asked: a soak asks for hours."""

import sys
import threading

from tests.fakes.replay_provider import ReplayProvider

FORGET_S = 1.0


def main() -> None:
    """Serve until standard input ends."""
    with ReplayProvider() as provider:
        sys.stdout.write(f"{provider.base_url}\n")
        sys.stdout.flush()
        ended = threading.Event()
        forgetting = threading.Thread(target=_forget, args=(provider, ended))
        forgetting.start()
        sys.stdin.read()
        ended.set()
        forgetting.join()


def _forget(provider: ReplayProvider, ended: threading.Event) -> None:
    while not ended.wait(FORGET_S):
        provider.received.clear()


if __name__ == "__main__":
    main()
