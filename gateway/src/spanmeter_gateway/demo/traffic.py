"""Steady traffic of a made-up product: eight features, several dialects, some failures.

Plain HTTP from a few threads; knows only the gateway's address. The rate is bounded by a clock and
not by the answers: a slow gateway is called less often, never more.
"""

import contextlib
import http.client
import json
import queue
import random
import signal
import sys
import threading
from dataclasses import dataclass, field
from typing import Any

CALLS_PER_S = 12.0
_THREADS = 24
_TIMEOUT_S = 30.0
_PROMPT = "Our customer writes about an order, and we would like to help within one answer. "


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What one feature sends."""

    feature: str | None
    weight: int
    path: str
    body: dict[str, Any]
    task: str | None = None
    tags: str = ""
    prompt_tokens: int = 200
    failures: dict[str, float] = field(default_factory=dict)
    """Share of calls by value of `X-Pretend`: see `failures`."""
    leaves: float = 0.0
    """Share of calls whose caller leaves before the answer has ended."""


def _chat(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": _PROMPT}], **more}


SCENARIOS = (
    Scenario(
        feature="checkout-assistant",
        weight=5,
        path="/v1/chat/completions",
        body=_chat("gpt-4.1-mini", stream=True),
        task="generation",
        tags="env:prod,team:payments,project:shop,cost-center:1100",
        prompt_tokens=900,
        failures={"500": 0.01},
        leaves=0.03,
    ),
    Scenario(
        feature="support-chat",
        weight=4,
        path="/v1/messages",
        body=_chat("claude-sonnet-5", stream=True, max_tokens=1024),
        task="generation",
        tags="env:prod,team:support,project:care,cost-center:1200",
        prompt_tokens=3000,
        failures={"529": 0.04, "event": 0.02},
        leaves=0.06,
    ),
    Scenario(
        feature="doc-search",
        weight=5,
        path="/v1/embeddings",
        body={"model": "text-embedding-3-small", "input": [_PROMPT, _PROMPT]},
        tags="env:prod,team:search,project:shop,cost-center:1300",
    ),
    Scenario(
        feature="invoice-extraction",
        weight=2,
        path="/v1/responses",
        body={"model": "gpt-5-mini", "input": _PROMPT},
        task="extraction",
        tags="env:prod,team:finance,project:ledger,cost-center:1400",
        prompt_tokens=1600,
        failures={"400": 0.03},
    ),
    Scenario(
        feature="review-summaries",
        weight=2,
        path="/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        body={"contents": [{"role": "user", "parts": [{"text": _PROMPT}]}]},
        task="summarisation",
        tags="env:prod,team:catalogue,project:shop,cost-center:1300",
        prompt_tokens=2400,
        failures={"503": 0.02},
    ),
    Scenario(
        feature="fraud-triage",
        weight=3,
        path="/v1/chat/completions",
        body=_chat("gpt-4o-mini"),
        task="classification",
        tags="env:staging,team:payments,project:shop,cost-center:1100",
        failures={"500": 0.12, "cut": 0.02},
    ),
    Scenario(
        feature="nightly-labels",
        weight=1,
        path="/v1/chat/completions",
        body=_chat("llama-3.3-70b-versatile"),
        task="classification",
        tags="env:prod,team:catalogue,project:shop,cost-center:1300",
        failures={"429": 0.15},
    ),
    Scenario(
        feature=None,
        weight=1,
        path="/v1/chat/completions",
        body=_chat("gpt-4.1", stream=True, stream_options={"include_usage": True}),
    ),
)


class Traffic:
    """Traffic to one gateway, from `start` until `stop`."""

    def __init__(self, host: str, port: int, *, seed: int = 11) -> None:
        self._host, self._port = host, port
        self._chance = random.Random(seed)
        self._waiting: queue.Queue[Scenario | None] = queue.Queue(maxsize=_THREADS)
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._clock, daemon=True)]
        self._threads += [
            threading.Thread(target=self._call_on, daemon=True) for _ in range(_THREADS)
        ]

    def start(self) -> None:
        """Begin to call."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Call no more, and wait for the calls in progress."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _clock(self) -> None:
        weights = [scenario.weight for scenario in SCENARIOS]
        while not self._stopping.wait(self._chance.expovariate(CALLS_PER_S)):
            with contextlib.suppress(queue.Full):
                self._waiting.put_nowait(self._chance.choices(SCENARIOS, weights)[0])
        for _ in range(_THREADS):
            self._waiting.put(None)

    def _call_on(self) -> None:
        while (scenario := self._waiting.get()) is not None:
            # A failed call is what the demonstration is about: the gateway counts it, we go on.
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.call(scenario)

    def call(self, scenario: Scenario) -> int:
        """Make one call and read its answer, or leave early; the HTTP status."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_S)
        with contextlib.closing(connection):
            body = _padded(scenario, self._chance)
            connection.request("POST", scenario.path, body, self._headers(scenario))
            with connection.getresponse() as answer:
                if self._chance.random() < scenario.leaves:
                    answer.read1(64)
                else:
                    answer.read()
                return answer.status

    def _headers(self, scenario: Scenario) -> dict[str, str]:
        credential = "pretend-credential"
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {credential}"}
        if scenario.path == "/v1/messages":
            headers |= {"x-api-key": credential, "anthropic-version": "2023-06-01"}
        if scenario.feature:
            headers["X-Feature"] = scenario.feature
        if scenario.task:
            headers["X-Task"] = scenario.task
        if scenario.tags:
            headers["X-Tags"] = scenario.tags
        at = self._chance.random()
        for pretend, share in scenario.failures.items():
            if at < share:
                headers["X-Pretend"] = pretend
                break
            at -= share
        return headers


def _padded(scenario: Scenario, chance: random.Random) -> bytes:
    # Blanks after the JSON are legal and count for the pretend provider as a longer prompt would.
    wanted_bytes = int(scenario.prompt_tokens * 4 * chance.uniform(0.4, 1.8))
    return json.dumps(scenario.body).encode().ljust(wanted_bytes)


def main() -> None:
    """Call the gateway at `HOST PORT` until told to end."""
    traffic = Traffic(sys.argv[1], int(sys.argv[2]))
    # Blocked before the threads begin, so that it is waited for here and interrupts none of them.
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    traffic.start()
    signal.sigwait(ends)
    traffic.stop()


if __name__ == "__main__":
    main()
