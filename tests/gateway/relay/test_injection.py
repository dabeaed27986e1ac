"""What a caller says never becomes a line of its own: in no header, answer, receipt or log."""

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.relay.doubles import World

CANARY = b"c4n4ry"
PLAIN = b'{"model":"gpt-4o","messages":[]}'
OURS = (
    *(b"x-feature", b"x-task", b"x-tags", b"x-provider", b"x-gateway-key", b"baggage"),
    *(b"traceparent", b"tracestate", b"x-portkey-metadata", b"helicone-property-k"),
    *(b"authorization", b"api-key", b"anthropic-version", b"content-encoding", b"connection"),
    *(b"host", b"expect", b"te", b"accept-encoding", b"x-any"),
)
TARGETS = (b"/v1/chat/completions", b"/v1/messages", b"/v1/files", b"/nobody/here", b"/openai/x")
CONTROLS = bytes(set(range(32)) - {9}) + b"\x7f"


def run(check: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(check())


def lines_of(message: bytes) -> list[bytes]:
    return message.partition(b"\r\n\r\n")[0].split(b"\r\n")


@settings(max_examples=200)
@given(
    name=st.sampled_from(OURS),
    value=st.lists(
        st.sampled_from(
            [
                *(b"\n\rx-injected: 1", b"\rx-injected: 1", b"\nx-injected: 1", b"\0", b"\x0b"),
                *(b"\xe5\x98\x8a\xe5\x98\x8d", b"%0d%0ax-injected:1", b"a:b,", b"=", b"\t", b"{"),
                *(
                    b"\x85",
                    b"\xe2\x80\xa8",
                    b"\x1b[2J",
                    b"Bearer ",
                    b"env:prod",
                    b'"',
                    b"\xff",
                    CANARY,
                ),
            ]
        ),
        max_size=5,
    ).map(b"".join),
    target=st.sampled_from(TARGETS),
)
def test_no_header_of_a_caller_becomes_two(name: bytes, value: bytes, target: bytes) -> None:
    async def check() -> None:
        world = World()
        caller = world.caller()
        wire = b"POST %b HTTP/1.1\r\nhost: x\r\n%b: %b\r\n" % (target, name, value)

        await caller.say([wire + b"content-length: %d\r\n\r\n%b" % (len(PLAIN), PLAIN)])
        caller.leave()

        for message in (*map(bytes, world.provider.requests), caller.got):
            found = lines_of(message)
            assert not any(line.startswith(b"x-injected") for line in found)
            assert not any(set(line) & set(CONTROLS) for line in found)

    run(check)


@pytest.mark.parametrize(
    "wire",
    [
        b"%b /v1/models HTTP/1.1\r\nhost: x\r\n\r\n" % CANARY,
        b"GET /%b HTTP/1.1\r\nhost: x\r\n\r\n" % CANARY,
        b"GET /v1/%%00%b HTTP/1.1\r\nhost: x\r\n\r\n" % CANARY,
        b"GET /v1/models HTTP/1.1\r\nhost: %b, x\r\n\r\n" % CANARY,
        b"GET /v1/models HTTP/1.1\r\nhost: x\r\nhost: %b\r\n\r\n" % CANARY,
        b"GET /v1/models HTTP/1.1\r\nhost: x\r\ntransfer-encoding: %b\r\n\r\n" % CANARY,
        b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx-provider: %b\r\n\r\n" % CANARY,
        b"POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: %b\r\n\r\n" % CANARY,
        b"POST /v1/files HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n%b" % CANARY,
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\n%b" % CANARY,
        b"CONNECT %b:443 HTTP/1.1\r\nhost: x\r\n\r\n" % CANARY,
    ],
)
def test_a_refusal_quotes_nothing_to_the_caller_or_the_log(
    wire: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        world = World()
        caller = world.caller()

        with caplog.at_level(logging.DEBUG):
            await caller.say([wire])
            world.relay.admission.report(1.0)

        status, body = int(caller.got.split(b" ")[1]), caller.got.partition(b"\r\n\r\n")[2]
        assert status >= 400
        assert json.loads(body)["error"]["code"]
        assert CANARY not in caller.got
        assert CANARY.decode() not in caplog.text

    run(check)
