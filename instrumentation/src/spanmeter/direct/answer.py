"""The reading of one answer as its bytes arrive: nothing is kept but what its tally waits for."""

from collections.abc import Mapping

from spanmeter.decoding import Decoder, Undecodable, decoder_for
from spanmeter.dialects.dialect import ResponseFacts, Tally
from spanmeter.direct.asked import Asked
from spanmeter.observing import guarded

UNREAD = ResponseFacts(unread="unreadable")
_LONGEST_TYPE = 256


class AnswerReading:
    """What the head of an answer said, and the tally of its body."""

    def __init__(self, asked: Asked, status: int, headers: Mapping[str, str]) -> None:
        self.status = status
        self.is_close_framed = _is_close_framed(headers)
        self._decoder: Decoder | None = None
        self._tally: Tally | None = None
        try:
            self._decoder = decoder_for(headers.get("content-encoding", "").encode())
        except Undecodable:
            return
        self._tally = asked.dialect.tally(
            status=status,
            content_type=headers.get("content-type", "")[:_LONGEST_TYPE].lower(),
            stream=asked.facts.stream,
        )

    def feed(self, piece: bytes) -> None:
        """Take a piece of the body; one that cannot be read ends the reading, and no more."""
        if self._tally is not None and not guarded(lambda: self._could_feed(piece)):
            self._tally = None

    def close(self) -> ResponseFacts:
        """Account for the answer as far as it came."""
        if self._tally is None:
            return UNREAD
        return guarded(self._tally.close) or UNREAD

    def _could_feed(self, piece: bytes) -> bool:
        assert self._tally is not None
        try:
            self._tally.feed(piece if self._decoder is None else self._decoder.decode(piece))
        except Undecodable:
            return False
        return True


def _is_close_framed(headers: Mapping[str, str]) -> bool:
    """Tell a body that ends with its connection (RFC 9112 section 6.3): it may have been cut.

    HTTP/2 has neither header and frames of its own, but no `connection` either (RFC 9113 8.2.2).
    """
    is_framed = "content-length" in headers or "transfer-encoding" in headers
    return not is_framed and headers.get("connection", "").lower() == "close"
