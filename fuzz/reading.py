"""What an independent reader of HTTP, h11, makes of bytes."""

from dataclasses import dataclass

import h11

LARGEST_HEAD_BYTES = 1 << 20


@dataclass(slots=True)
class Read:
    """One answer, as far as it was read."""

    status: int = 0
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    is_complete: bool = False


def requests_in(wire: bytes) -> list[tuple[bytes, bytes]]:
    """List method and target of the requests on a connection, up to where h11 refuses to read."""
    found = []
    reader = h11.Connection(h11.SERVER, LARGEST_HEAD_BYTES)
    try:
        reader.receive_data(wire)
        while (event := reader.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            if isinstance(event, h11.Request):
                found.append((event.method, event.target))
            if isinstance(event, h11.EndOfMessage):
                reader.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                reader.send(h11.EndOfMessage())
                reader.start_next_cycle()
            if isinstance(event, h11.ConnectionClosed):
                break
    except h11.ProtocolError:
        pass
    return found


def answers_in(wire: bytes, methods: list[bytes], *, is_ended: bool) -> list[Read]:
    """Read the answers to requests of these methods, and one more to nobody in particular.

    `is_ended`: the connection has ended behind the bytes. Raises `h11.RemoteProtocolError` for what
    is no answer; one that is cut is not complete.
    """
    found: list[Read] = []
    reader = h11.Connection(h11.CLIENT, LARGEST_HEAD_BYTES)
    reader.receive_data(wire)
    for method in [*methods, b"GET"]:
        reader.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
        reader.send(h11.EndOfMessage())
        answer = Read()
        _read(reader, answer, is_ended=is_ended)
        if answer.status:
            found.append(answer)
        if not answer.is_complete or reader.our_state is h11.MUST_CLOSE:
            break
        reader.start_next_cycle()
    return found


def _read(reader: h11.Connection, answer: Read, *, is_ended: bool) -> None:
    """Read one answer, as far as it came."""
    while (event := _next(reader, is_ended=is_ended)) is not None:
        if isinstance(event, h11.Response):
            answer.status, answer.headers = event.status_code, tuple(event.headers)
        elif isinstance(event, h11.Data):
            answer.body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            answer.is_complete = True
            break
        elif isinstance(event, h11.ConnectionClosed):
            break


def _next(reader: h11.Connection, *, is_ended: bool) -> h11.Event | None:
    """Read the next event; `None` where nothing more comes."""
    _, has_ended = reader.trailing_data
    try:
        event = reader.next_event()
        if event is h11.NEED_DATA and is_ended and not has_ended:
            reader.receive_data(b"")
            has_ended = True
            event = reader.next_event()
    except h11.RemoteProtocolError:
        if has_ended:  # the end came too early, which is no fault of what came before it
            return None
        raise
    return event if isinstance(event, h11.Event) else None
