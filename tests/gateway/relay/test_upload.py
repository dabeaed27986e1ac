"""A body that passes through in parts."""

import pytest
from tests.gateway.upstreams.pipe import Pipe

from spanmeter_gateway.relay.upload import WAITING_LIMIT_BYTES, Upload
from spanmeter_gateway.upstreams.connection import UpstreamConnection


def connected() -> tuple[UpstreamConnection, Pipe]:
    connection, pipe = UpstreamConnection(), Pipe()
    connection.connection_made(pipe)
    return connection, pipe


@pytest.mark.parametrize(
    ("content_length", "is_chunked", "framing", "is_bodiless"),
    [
        (None, False, b"", True),
        (b"0", False, b"content-length: 0\r\n", True),
        (b"5", False, b"content-length: 5\r\n", False),
        (None, True, b"transfer-encoding: chunked\r\n", False),
    ],
)
def test_a_body_is_framed_as_the_caller_framed_it(
    content_length: bytes | None, framing: bytes, *, is_chunked: bool, is_bodiless: bool
) -> None:
    upload = Upload(content_length, is_chunked=is_chunked)

    assert (upload.framing, upload.is_bodiless) == (framing, is_bodiless)


@pytest.mark.parametrize("connects_after", range(4))
@pytest.mark.parametrize(
    ("is_chunked", "sent"),
    [(True, b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"), (False, b"abc")],
)
def test_whatever_waits_for_the_connection_comes_first(
    connects_after: int, sent: bytes, *, is_chunked: bool
) -> None:
    upload = Upload(None if is_chunked else b"3", is_chunked=is_chunked)
    connection, pipe = connected()
    current: UpstreamConnection | None = None

    for step in range(3):
        if step == connects_after:
            current = connection
            upload.flush(connection)
        if step < 2:
            upload.add((b"ab", b"c")[step], connection=current)
        else:
            upload.end(connection=current)
    if current is None:
        upload.flush(connection)

    assert b"".join(pipe.written) == sent
    assert upload.is_whole


def test_the_caller_is_to_pause_when_too_much_waits() -> None:
    upload = Upload(b"999999", is_chunked=False)

    upload.add(b"x" * WAITING_LIMIT_BYTES, connection=None)
    assert not upload.is_full
    upload.add(b"x", connection=None)
    assert upload.is_full
    upload.flush(connected()[0])
    assert not upload.is_full
