"""What a request becomes when its turn comes: a call, or a health check."""

import re

from spanmeter_gateway.relay.call import Call
from spanmeter_gateway.relay.caller import Caller, Inbound
from spanmeter_gateway.relay.health import HealthCheck
from spanmeter_gateway.relay.relay import Relay
from spanmeter_gateway.relay.waiting import Waiting

_HEALTH = re.compile(rb"/(healthz|readyz)(\?|$)")


def open_request(relay: Relay, front: Caller, request: Waiting) -> Inbound:
    """Make what answers the request; nothing is written before its `open` is called."""
    health = _HEALTH.match(request.target)
    if health is not None:
        is_ready = health[1] == b"healthz" or not relay.is_draining
        return HealthCheck(front, is_ready=is_ready, keep_alive=request.keep_alive)
    return Call(
        relay,
        front,
        method=request.method,
        target=request.target,
        head=request.head,
        content_length=request.content_length,
        http_version=request.http_version,
        keep_alive=request.keep_alive,
    )
