"""An HTTP/1.1 client that decodes nothing: status, header lines, body bytes, and how it ended."""

import http.client
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

FRAMING_HEADERS = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """What came back. `is_cut`: the connection ended before the answer did."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Names in lower case, in the order of the lines, duplicates kept; framing left out."""
    body: bytes
    is_cut: bool = False
    length: int | None = None
    """Of `content-length`, if there was one."""

    def header(self, name: str) -> str:
        """Return the first value of a header, empty when absent."""
        return next((value for key, value in self.headers if key == name), "")


class RawClient:
    """One keep-alive connection, opened again when the server closed it."""

    def __init__(self, base_url: str, *, ca_file: str | None = None, timeout_s: float = 30) -> None:
        address = urlsplit(base_url)
        self._host = address.netloc
        if address.scheme == "https":
            context = ssl.create_default_context(cafile=ca_file)
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                self._host, timeout=timeout_s, context=context
            )
        else:
            self._connection = http.client.HTTPConnection(self._host, timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def call(
        self,
        target: str,
        body: bytes = b"",
        *,
        headers: Sequence[tuple[str, str]] = (),
        method: str = "POST",
    ) -> RawAnswer:
        """Send exactly these headers, after `host`, and read the whole answer."""
        connection = self._connection
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("host", self._host)
        for name, value in headers:
            connection.putheader(name, value.encode("utf-8"))
        connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)
        return self._read()

    def _read(self) -> RawAnswer:
        response = self._connection.getresponse()
        pieces: list[bytes] = []
        is_cut = False
        try:
            while piece := response.read1(65536):
                pieces.append(piece)
            is_cut = bool(response.length)
            response.close()
        except (http.client.IncompleteRead, ConnectionError) as error:
            pieces.append(getattr(error, "partial", b""))
            is_cut = True
        if is_cut:
            self._connection.close()
        length = response.headers.get("content-length")
        return RawAnswer(
            status=response.status,
            headers=tuple(
                (name.lower(), value)
                for name, value in response.headers.items()
                if name.lower() not in FRAMING_HEADERS
            ),
            body=b"".join(pieces),
            is_cut=is_cut,
            length=None if length is None else int(length),
        )
