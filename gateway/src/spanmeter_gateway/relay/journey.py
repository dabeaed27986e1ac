"""A call's way from its head and body to the request that goes upstream. No I/O, no clock.

`decide` reads top to bottom: describe, attribute, choose, edit. What it learns on the way it
writes into the account at once, so that a call which is refused half-way is still counted with its
feature, tags and model.
"""

from contextlib import suppress
from dataclasses import dataclass

from spanmeter.attribution import AttributionRules, attribute
from spanmeter.decoding import Undecodable, decode_whole
from spanmeter.dialects.dialect import Dialect, RequestFacts
from spanmeter.errors import InvalidAttribution, UnreadableBody
from spanmeter_gateway.access.keys import GatewayKeys
from spanmeter_gateway.errors import CallerError, InvalidTag, MalformedBody
from spanmeter_gateway.relay.account import UNTAGGED, Account
from spanmeter_gateway.relay.body_edit import with_include_usage, without_member
from spanmeter_gateway.relay.head import RequestHead
from spanmeter_gateway.relay.plan import Plan
from spanmeter_gateway.routing.address import AZURE, Address
from spanmeter_gateway.routing.choice import (
    HOME_OF_CREDENTIAL_HEADER,
    Choice,
    Directory,
    route_of,
)
from spanmeter_gateway.upstreams.upstream import Upstream

UNREAD = RequestFacts(model=None)
"""Of a request in a coding that we cannot undo: forwarded as it is, and unmetered."""
AZURE_USAGE_SINCE = "2024-09-01"
"""The first Azure API version that accepts `stream_options`
(learn.microsoft.com/azure/ai-services/openai/whats-new)."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The configuration that decisions depend on."""

    directory: Directory
    attribution: AttributionRules
    ask_for_usage: bool
    times_chunks: bool = False
    keys: GatewayKeys | None = None
    """Which every call must show one of; `None`: whoever reaches the port may call."""


def find_address(account: Account, rules: Rules, *, head: RequestHead, target: str) -> Address:
    """Take the target apart, and note the dialect and route. Raises nothing."""
    named = None
    if head.asked_provider is not None:
        # Whether it names anybody is judged when the call is decided, after its model is known.
        found = rules.directory.upstream_by_name.get(head.asked_provider)
        named = found.provider if found else _azure_by_alias(head.asked_provider)
    address = rules.directory.address(account.method, target, named)
    account.dialect = address.dialect
    account.route = route_of(address.dialect, address.upstream)
    return address


def identify(account: Account, keys: GatewayKeys, *, head: RequestHead) -> None:
    """Note whose call it is; raises `InvalidGatewayKey`.

    Asked before the body is read, so that a stranger cannot make us hold one. A call that is denied
    is attributed by its head alone, like any that ends before it was decided.
    """
    account.key_id = keys.identify(head.shown_key)


def decide(
    account: Account, rules: Rules, *, head: RequestHead, address: Address, body: bytes
) -> Plan:
    """Decide where a metered call goes and as what; raises `CallerError`s."""
    dialect = address.dialect
    assert dialect is not None
    account.request_bytes = len(body)
    readable = _readable(body, head)
    facts = _describe(account, dialect, path=address.path, body=readable)
    _attribute(account, rules, head=head, tags=facts.tags)
    choice = choose(account, rules, head=head, address=address)
    if facts.model is None and facts is not UNREAD:
        raise MalformedBody("the body has no `model`: name the model as a string", param="model")
    plan = Plan(choice.upstream, choice.target, body)
    if readable is None:
        return plan
    asks = _asks_for_usage(rules, plan, dialect=dialect, facts=facts)
    return _edit(plan, readable, drops_tags=facts.has_tags, asks=asks)


def decide_passthrough(
    account: Account, rules: Rules, *, head: RequestHead, address: Address
) -> Plan:
    """Decide where any other request goes, from its head alone; raises `CallerError`s."""
    _attribute(account, rules, head=head, tags=None)
    choice = choose(account, rules, head=head, address=address)
    account.route = route_of(None, choice.upstream.name)
    return Plan(choice.upstream, choice.target, b"")


def choose(account: Account, rules: Rules, *, head: RequestHead, address: Address) -> Choice:
    """Choose the upstream and note it; raises `InvalidProvider` and its siblings."""
    choice = _choice(account, rules, head=head, address=address)
    account.upstream = choice.upstream.name
    account.provider = choice.upstream.provider
    account.is_guess = choice.is_guess
    return choice


def _choice(account: Account, rules: Rules, *, head: RequestHead, address: Address) -> Choice:
    asked = rules.directory.asked_upstream(head.asked_provider)
    model = account.facts.model if account.facts is not None else None
    hint = None
    if address.dialect is None:
        homes = HOME_OF_CREDENTIAL_HEADER.items()
        hint = next((home for name, home in homes if name in head.noted), None)
    return rules.directory.choose(address, asked=asked, model=model, hint=hint)


def note_undecided(account: Account, rules: Rules, *, head: RequestHead, address: Address) -> None:
    """Note what head and path say of a call that ends before it was decided; never raises.

    That is its attribution, the model of a dialect that has it in the path, and the provider where
    it does not take the body to know it.
    """
    if head.attribution and account.attribution is UNTAGGED:
        account.attribution = attribute(head.attribution, None, _lenient(rules.attribution))
    if account.upstream is not None:
        return
    if account.facts is None and address.dialect is not None:
        account.facts = address.dialect.describe(b"{}", address.path)
    with suppress(CallerError):
        choice = _choice(account, rules, head=head, address=address)
        if not choice.is_guess:
            account.upstream, account.provider = choice.upstream.name, choice.upstream.provider


def _describe(account: Account, dialect: Dialect, *, path: str, body: bytes | None) -> RequestFacts:
    if body is None:
        account.facts = UNREAD
        return UNREAD
    try:
        account.facts = dialect.describe(body, path)
    except UnreadableBody as error:
        raise MalformedBody(str(error)) from error
    return account.facts


def _attribute(account: Account, rules: Rules, *, head: RequestHead, tags: object) -> None:
    if not head.attribution and tags is None:
        return
    try:
        account.attribution = attribute(head.attribution, tags, rules.attribution)
    except InvalidAttribution as error:
        account.attribution = attribute(head.attribution, tags, _lenient(rules.attribution))
        raise InvalidTag(error.code, str(error)) from error


def _lenient(rules: AttributionRules) -> AttributionRules:
    return AttributionRules(
        strict=False,
        bare_tag_key=rules.bare_tag_key,
        feature_from_tag=rules.feature_from_tag,
        max_tags=rules.max_tags,
    )


def _readable(body: bytes, head: RequestHead) -> bytes | None:
    coding = head.noted.get(b"content-encoding")
    if coding is None:
        return body
    try:
        return decode_whole(body, coding)
    except Undecodable:
        return None


def _asks_for_usage(rules: Rules, plan: Plan, *, dialect: Dialect, facts: RequestFacts) -> bool:
    return (
        facts.stream
        and not facts.asks_for_usage
        and rules.ask_for_usage
        and dialect.may_ask_for_usage
        and plan.upstream.stream_usage
        and _accepts_stream_options(plan.upstream, plan.target)
    )


def _edit(plan: Plan, readable: bytes, *, drops_tags: bool, asks: bool) -> Plan:
    if not (asks or drops_tags):
        return plan
    edited = without_member(readable, "tags") if drops_tags else readable
    if asks:
        edited = with_include_usage(edited)
    return Plan(
        plan.upstream,
        plan.target,
        edited,
        is_decoded=readable is not plan.body,
        hides_usage=asks,
    )


def _accepts_stream_options(upstream: Upstream, target: str) -> bool:
    if upstream.provider != AZURE:
        return True
    _, found, version = target.partition("api-version=")
    return not found or version[: len(AZURE_USAGE_SINCE)] >= AZURE_USAGE_SINCE


def _azure_by_alias(asked: str) -> str | None:
    return AZURE if asked.lower() in ("azure", AZURE) else None
