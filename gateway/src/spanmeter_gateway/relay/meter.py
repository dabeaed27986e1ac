"""The copy: every byte of an answer goes through here for reading, and what is ours is taken out.

Nothing here can break a call. A tally or filter that fails is dropped, the bytes go on, and the
call is unmetered with a reason.
"""

import logging

from spanmeter.decoding import Decoder, Undecodable, decoder_for
from spanmeter.dialects.answer import BULK_BYTES
from spanmeter.dialects.dialect import Dialect, ResponseFacts, Tally
from spanmeter_gateway.relay.account import NO_FACTS
from spanmeter_gateway.relay.usage_chunk import UsageChunkFilter

log = logging.getLogger("spanmeter.relay")


class Meter:
    """The reading of one answer."""

    __slots__ = ("_decoder", "_filter", "_tally", "_waiting", "_waiting_bytes", "unread")

    def __init__(
        self,
        dialect: Dialect,
        *,
        status: int,
        content_type: str,
        content_encoding: bytes | None,
        is_stream: bool,
        hides_usage: bool,
    ) -> None:
        self.unread: str | None = None
        """Why the answer cannot be read, once it is known."""
        self._decoder: Decoder | None = None
        self._tally: Tally | None = None
        self._filter: UsageChunkFilter | None = None
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        try:
            self._decoder = decoder_for(content_encoding)
        except Undecodable:
            self.unread = "unreadable"
            return
        self._tally = dialect.tally(status=status, content_type=content_type, stream=is_stream)
        # A provider that compresses although it was asked for the identity coding gets its bytes
        # through as they came, the extra chunk among them: it cannot be cut out of them.
        if hides_usage and self._decoder is None:
            self._filter = UsageChunkFilter()

    @property
    def rewrites(self) -> bool:
        """The caller may get fewer bytes than the provider sent."""
        return self._filter is not None

    def read(self, piece: bytes) -> bytes:
        """Read a piece of the answer; returns what the caller is to get of it now."""
        if self._tally is None:
            return piece
        try:
            self._waiting.append(piece)
            self._waiting_bytes += len(piece)
            if self._waiting_bytes >= BULK_BYTES:
                self._feed()
            return piece if self._filter is None else self._filter.feed(piece)
        except Undecodable as error:
            self._give_up(str(error))
        except Exception as fault:  # noqa: BLE001 - metering never breaks a call
            log.error("an answer could not be read: %s", type(fault).__name__)
            self._give_up("unreadable")
        held, self._filter = self.rest(), None
        return held + piece

    def rest(self) -> bytes:
        """Return what was held back for the caller, at the end of the answer."""
        return b"" if self._filter is None else self._filter.close()

    def close(self) -> ResponseFacts:
        """Account for the answer as far as it came."""
        if self._tally is None:
            return NO_FACTS
        try:
            self._feed()
            facts = self._tally.close()
        except Undecodable as error:
            self._give_up(str(error))
            return NO_FACTS
        except Exception as fault:  # noqa: BLE001 - metering never breaks a call
            log.error("an answer could not be accounted for: %s", type(fault).__name__)
            self._give_up("unreadable")
            return NO_FACTS
        if facts.unread is not None:
            self.unread = "too_large" if facts.unread == "too_large" else "unreadable"
        return facts

    def _feed(self) -> None:
        """Hand on what has waited: a tally asked once for many pieces costs less for each."""
        if self._tally is None or not self._waiting:
            return
        waiting, self._waiting, self._waiting_bytes = b"".join(self._waiting), [], 0
        self._tally.feed(waiting if self._decoder is None else self._decoder.decode(waiting))

    def _give_up(self, reason: str) -> None:
        self.unread = "too_large" if reason == "too_large" else "unreadable"
        self._tally = None
