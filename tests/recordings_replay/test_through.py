"""The comparison itself: without a gateway between, what only a gateway removes is reported."""

from tests.fakes.recordings import recording
from tests.fakes.replay_provider import ReplayProvider
from tests.recordings_replay.routes import target
from tests.recordings_replay.through import Caller, How


def test_what_a_gateway_should_have_removed_is_reported(provider: ReplayProvider) -> None:
    caller = Caller(provider.base_url, provider)
    played = recording("openai-chat/basic")

    found = list(caller.play(played, How(has_body_tags=True)).differences())

    caller.close()
    headers = next(line for line in found if line.startswith("request headers"))
    assert f"request line POST {target(played)}" in found
    assert all(f"'{name}'" in headers for name in ("x-feature", "x-tags", "baggage", "x-task"))


def test_an_untouched_answer_has_no_difference(provider: ReplayProvider) -> None:
    caller = Caller(provider.base_url, provider)
    played = recording("derived/openai-stream-connection-lost")

    found = list(caller.play(played, How("random:1", "gzip", "length")).differences())

    caller.close()
    assert [line for line in found if not line.startswith("request")] == []
