"""Upstreams and rules for tests of decisions and of what they write."""

from spanmeter.attribution import AttributionRules
from spanmeter_gateway.receipt import Trace
from spanmeter_gateway.relay.account import Account
from spanmeter_gateway.relay.head import RequestHead
from spanmeter_gateway.relay.journey import Rules, decide, decide_passthrough, find_address
from spanmeter_gateway.relay.plan import Plan
from spanmeter_gateway.relay.trace import new_ids
from spanmeter_gateway.routing.address import AZURE
from spanmeter_gateway.routing.choice import Directory
from spanmeter_gateway.upstreams.providers import well_known_upstreams
from spanmeter_gateway.upstreams.upstream import Upstream

Headers = list[tuple[bytes, bytes]]

AZURE_UPSTREAM = Upstream(
    name="azure",
    provider=AZURE,
    base_url="https://r.openai.azure.com",
    openai_root="/openai/v1",
    api_version="2024-10-21",
    stream_usage=True,
)
HOUSE = Upstream(
    name="house", provider="vllm", base_url="http://127.0.0.1:8000/api", models=("llama3",)
)
UPSTREAMS = (HOUSE, AZURE_UPSTREAM, *well_known_upstreams())
UPSTREAM_BY_NAME = {upstream.name: upstream for upstream in UPSTREAMS}


def rules(*, strict: bool = False, ask_for_usage: bool = True) -> Rules:
    """Make rules over the upstreams of this file."""
    return Rules(
        directory=Directory(UPSTREAMS, default="openai"),
        attribution=AttributionRules(strict=strict),
        ask_for_usage=ask_for_usage,
    )


def account(method: str = "POST") -> Account:
    """Open the account of a call."""
    ids = new_ids()
    trace = Trace(trace_id=ids.trace_id, span_id=ids.server_span_id)
    return Account(ids, method=method, http_version="1.1", trace=trace)


def plan_of(
    target: str,
    body: bytes,
    headers: Headers = [],  # noqa: B006 - never changed
    *,
    under: Rules | None = None,
    into: Account | None = None,
) -> Plan:
    """Decide one metered call; what was learnt on the way is `into`'s."""
    into, under, head = into or account(), under or rules(), RequestHead(headers)
    address = find_address(into, under, head=head, target=target)
    return decide(into, under, head=head, address=address, body=body)


def plan_of_other(
    target: str,
    headers: Headers = [],  # noqa: B006 - never changed
    *,
    into: Account | None = None,
) -> Plan:
    """Decide one request that passes through."""
    into, under, head = into or account("GET"), rules(), RequestHead(headers)
    address = find_address(into, under, head=head, target=target)
    return decide_passthrough(into, under, head=head, address=address)
