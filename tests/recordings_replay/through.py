"""Play recordings through a running gateway and tell every difference to the direct exchange."""

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.fakes.exchange import Answer, Received
from tests.fakes.raw_client import FRAMING_HEADERS, RawAnswer, RawClient
from tests.fakes.recordings import Recording
from tests.fakes.replay_provider import ReplayProvider, replay
from tests.recordings_replay.routes import (
    GATEWAY_HEADERS,
    asking_for_usage,
    asks_for_usage,
    target,
    with_body_tags,
    without,
)

CONNECTIONS = 4


@dataclass(frozen=True, slots=True)
class How:
    """In which way a provider sends a recording, and whether the caller puts tags in the body."""

    chunking: str = "whole"
    encoding: str = "identity"
    framing: str = "chunked"
    has_body_tags: bool = False
    usage: str = ""
    """`<prompt>,<completion>`: the provider adds OpenAI's usage chunk when it is asked for."""

    def headers(self, key: str) -> list[tuple[str, str]]:
        """Write what the pretend provider reads; `key` names the request afterwards."""
        return [
            ("x-replay-chunking", self.chunking),
            ("x-replay-encoding", self.encoding),
            ("x-replay-framing", self.framing),
            ("x-replay-usage", self.usage),
            ("x-replay-key", key),
        ]


@dataclass(frozen=True, slots=True)
class Played:
    """One exchange through the gateway, as the caller and as the provider saw it."""

    recording: Recording
    how: How
    sent_headers: Sequence[tuple[str, str]]
    """Without those of the gateway."""
    answer: RawAnswer
    received: Received

    @property
    def was_asked_for_usage(self) -> bool:
        """Say whether the gateway asked for usage on the caller's behalf."""
        received, recorded = self.received.body, self.recording.request_body
        return received != recorded and asks_for_usage(received) and not asks_for_usage(recorded)

    def differences(self) -> Iterator[str]:
        """Say what is not as it would be without a gateway between."""
        yield from self._answer_differences()
        yield from self._request_differences()

    @property
    def direct(self) -> Answer:
        """What the provider answered."""
        return replay(self.received)

    def _answer_differences(self) -> Iterator[str]:
        direct = self.direct
        body = b"".join(direct.pieces)
        wanted = [
            (name, value) for name, value in without(direct.headers) if name not in FRAMING_HEADERS
        ]
        if self.answer.status != direct.status:
            yield f"status {self.answer.status} instead of {direct.status}"
        if list(self.answer.headers) != wanted:
            yield f"answer headers {_unequal(self.answer.headers, wanted)}"
        if self.answer.body != body:
            yield f"answer body of {len(self.answer.body)} bytes instead of {len(body)}"
        if self.answer.is_cut != self.recording.is_aborted:
            yield f"cut: {self.answer.is_cut}"
        if self._must_keep_length and self.answer.length != len(body):
            yield f"content-length {self.answer.length} instead of {len(body)}"

    @property
    def _must_keep_length(self) -> bool:
        is_plain = self.how.framing == "length" and not self.was_asked_for_usage
        return is_plain and not self.recording.is_aborted

    def _request_differences(self) -> Iterator[str]:
        received, recorded = self.received, self.recording
        if (received.method, received.target) != (recorded.method, recorded.path):
            yield f"request line {received.method} {received.target}"
        edited = ["accept-encoding"] if self.was_asked_for_usage else []
        framing = ["host", "connection", "content-length", *edited]
        came = without(received.headers, *framing)
        wanted = without(self.sent_headers, *framing)
        if came != wanted:
            yield f"request headers {_unequal(came, wanted)}"
        if self.was_asked_for_usage and received.header("accept-encoding") != "identity":
            yield f"usage was asked for with accept-encoding {received.header('accept-encoding')}"
        if not self._is_body_right():
            yield f"request body of {len(received.body)} bytes, {len(recorded.request_body)} sent"

    def _is_body_right(self) -> bool:
        received, recorded = self.received.body, self.recording.request_body
        if self.was_asked_for_usage:
            return bool(json.loads(received) == asking_for_usage(recorded))
        if self.how.has_body_tags:
            return bool(json.loads(received) == json.loads(recorded))
        return received == recorded


class Caller:
    """Plays recordings over a few keep-alive connections, several at a time."""

    def __init__(self, gateway_url: str, provider: ReplayProvider) -> None:
        self._gateway_url = gateway_url
        self._provider = provider
        self._own = threading.local()
        self._clients: list[RawClient] = []
        self._pool = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="caller")

    def close(self) -> None:
        """Close the connections."""
        self._pool.shutdown()
        for client in self._clients:
            client.__exit__()

    def play_all(
        self, recordings: Iterable[Recording], how: How, *, feature: str | None = None
    ) -> list[Played]:
        """Play each recording once, under its own id as the feature or under this one."""
        return list(
            self._pool.map(lambda played: self.play(played, how, feature=feature), recordings)
        )

    def play(self, played: Recording, how: How, *, feature: str | None = None) -> Played:
        """Play one recording with every gateway header beside its own."""
        key = f"{played.id} {how}"
        headers = [*played.request_headers, ("x-replay", played.id), *how.headers(key)]
        attribution = [("X-Feature", feature or played.id), *GATEWAY_HEADERS]
        body = with_body_tags(played.request_body) if how.has_body_tags else played.request_body
        answer = self._client().call(
            target(played), body, headers=[*attribution[:5], *headers, *attribution[5:]]
        )
        return Played(played, how, headers, answer, self._provider.take(key))

    def _client(self) -> RawClient:
        client: RawClient | None = getattr(self._own, "client", None)
        if client is None:
            client = self._own.client = RawClient(self._gateway_url)
            self._clients.append(client)
        return client


def _unequal(came: Sequence[tuple[str, str]], wanted: Sequence[tuple[str, str]]) -> str:
    added = [pair for pair in came if pair not in wanted]
    lost = [pair for pair in wanted if pair not in came]
    return f"added {added}, lost {lost}" if added or lost else "in another order or number"
