"""What an OTLP backend answers, read within bounds: it may have taken a request but for a part.

OTLP specification, "Partial Success": the answer's `partial_success` says how many spans or points
were not taken; they may not be sent again. Its text is not ours to log: it may quote what was sent.
"""

import time
from typing import Any

import requests
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no types
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from urllib3.exceptions import HTTPError

from spanmeter_gateway.telemetry.otlp_settings import Signal

LARGEST_BYTES = 64 * 1024
"""An answer has a number and a sentence. What is longer is none, and is not read to its end."""
_LONGEST_S = 10.0


def rejected(signal: Signal, answer: bytes, *, most: int) -> int:
    """Return how many spans or points of an accepted request were not taken; at most all.

    An answer that cannot be read says nothing, as an empty one.
    """
    try:
        if signal == "traces":
            spans = ExportTraceServiceResponse.FromString(answer).partial_success
            count = int(spans.rejected_spans)
        else:
            points = ExportMetricsServiceResponse.FromString(answer).partial_success
            count = int(points.rejected_data_points)
    except DecodeError:
        return 0
    return min(max(count, 0), most)


class LastAnswer:
    """Keeps the body of the last answer of a session of `requests`, and bounds all of them."""

    def __init__(self) -> None:
        self.body = b""

    def watch(self, session: requests.Session) -> None:
        """See every answer of this session before its body is read."""
        session.hooks["response"].append(self._read)

    def _read(self, response: requests.Response, **_: Any) -> None:
        self.body = b""
        give_up_at_s = time.monotonic() + _LONGEST_S
        try:
            while len(self.body) <= LARGEST_BYTES and time.monotonic() < give_up_at_s:
                piece = response.raw.read1(LARGEST_BYTES, decode_content=True)
                if not piece:
                    break
                self.body += piece
            else:
                response.close()
                self.body = b""
        except HTTPError:  # the status has come; an answer that breaks off says no more than it
            response.close()
            self.body = b""
        # What `requests` itself would read now, all of it, however long it is.
        response._content = self.body
