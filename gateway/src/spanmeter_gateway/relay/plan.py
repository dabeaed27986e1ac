"""What was decided of a call: where it goes, as what, and what is to be done with the answer.

Not in `journey`, because that is compiled and compiled classes cannot be msgspec's.
"""

import msgspec

from spanmeter_gateway.upstreams.upstream import Upstream


class Plan(msgspec.Struct, frozen=True):
    """What goes upstream, and what is to be done with the answer."""

    upstream: Upstream
    target: str
    body: bytes
    is_decoded: bool = False
    """The body was compressed and goes on in the clear, because it had to be edited."""
    hides_usage: bool = False
    """Usage was asked for on the caller's behalf: the extra chunk is not for the caller."""
