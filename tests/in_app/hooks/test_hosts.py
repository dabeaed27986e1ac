"""Who is told: the hosts that are listed, by every library, and nobody who looks like them."""

from collections.abc import Mapping

import pytest
from tests.fakes.exchange import Received
from tests.fakes.replay_provider import ReplayProvider
from tests.in_app.hooks.clients import CLIENTS, Send

import spanmeter
from spanmeter import InvalidSetting

GATEWAYS = (
    "http://gateway:8080/v1",
    "http://[::1]:8081",
    "*.corp.example",
    "any-port",
    "http://bücher.example",
)
LISTED = [
    "http://gateway:8080/v1/chat/completions",
    "http://GateWay:8080",
    "http://user:pass@gateway:8080/",
    "http://[::1]:8081/v1",
    "http://a.corp.example/",
    "http://a.b.Corp.example:9000/",
    "http://any-port:1234/",
    "http://any-port/",
    "http://bücher.example/",
    "http://xn--bcher-kva.example/",
]
OTHERS = [
    "http://gateway/",
    "http://gateway:8081/",
    "http://gateway.evil.example:8080/",
    "http://evil-gateway:8080/",
    "http://evil.example:8080/gateway:8080",
    "http://evil.example/?u=http://gateway:8080/",
    "http://gateway:8080@evil.example/",
    "http://gateway@evil.example:8080/",
    "http://[::1]:8082/",
    "http://[::2]:8081/",
    "http://corp.example/",
    "http://acorp.example/",
    "http://a.corp.example.evil.example/",
    "http://xn--bcher-kva.evil.example/",
]
NAMES = {"x-feature", "x-task", "x-tags", "traceparent", "tracestate", "baggage"}


def said(received: Received) -> Mapping[str, str]:
    """Return what a request said of us, as a server that reads UTF-8 sees it."""
    ours = [(name.lower(), value) for name, value in received.headers if name.lower() in NAMES]
    assert len(dict(ours)) == len(ours), f"a header stands twice: {ours}"
    return {name: value.encode("latin-1").decode() for name, value in ours}


def ask(send: Send, server: ReplayProvider, url: str = "", **headers: str) -> Mapping[str, str]:
    """Make a request to the server, or through it to a URL, and return what it said of us."""
    proxy = server.base_url if url else None
    given = {"x-script": "fine", "x-replay-key": "it", **headers}
    assert send(url or f"{server.base_url}/", given, proxy) == 200
    return said(server.take("it"))


@pytest.mark.parametrize("send", CLIENTS)
def test_listed_hosts_are_told_and_others_are_not(send: Send, here: ReplayProvider) -> None:
    spanmeter.instrument(GATEWAYS)

    with spanmeter.feature("chat"):
        told = {url: dict(ask(send, here, url)) for url in LISTED + OTHERS}

    assert [url for url in LISTED if told[url] != {"x-feature": "chat"}] == []
    assert [url for url in OTHERS if told[url]] == []


@pytest.mark.parametrize("send", CLIENTS)
def test_feature_task_and_tags_go_along_in_any_script(send: Send, here: ReplayProvider) -> None:
    spanmeter.instrument(here.base_url)

    with spanmeter.feature("Größe 検索 €"), spanmeter.task("Ünder"), spanmeter.tags(a="1", b="2"):
        told = ask(send, here)

    assert told == {"x-feature": "Größe 検索 €", "x-task": "Ünder", "x-tags": "a:1,b:2"}


@pytest.mark.parametrize("send", CLIENTS)
def test_a_call_that_nobody_named_has_no_headers(send: Send, here: ReplayProvider) -> None:
    spanmeter.instrument(here.base_url)

    assert ask(send, here) == {}


@pytest.mark.parametrize("send", CLIENTS)
def test_what_the_application_set_itself_wins(send: Send, here: ReplayProvider) -> None:
    spanmeter.instrument(here.base_url)

    with spanmeter.feature("chat"), spanmeter.task("answer"):
        told = ask(send, here, **{"X-FEATURE": "own", "Baggage": "user.id=7"})

    assert told == {"x-feature": "own", "x-task": "answer", "baggage": "user.id=7"}


@pytest.mark.parametrize("send", CLIENTS)
def test_a_redirect_to_another_host_takes_nothing_along(
    send: Send, here: ReplayProvider, elsewhere: ReplayProvider
) -> None:
    spanmeter.instrument(here.base_url)
    headers = {"x-script": f"redirect {elsewhere.base_url}/there", "x-replay-key": "it"}

    with spanmeter.feature("chat"):
        assert send(f"{here.base_url}/", headers, None) == 200

    assert said(here.take("it")) == {"x-feature": "chat"}
    assert said(elsewhere.take("it")) == {}


@pytest.mark.parametrize("send", CLIENTS)
def test_a_redirect_to_a_listed_host_is_told(
    send: Send, here: ReplayProvider, elsewhere: ReplayProvider
) -> None:
    spanmeter.instrument(here.base_url)
    headers = {"x-script": f"redirect {here.base_url}/there", "x-replay-key": "it"}

    with spanmeter.feature("chat"):
        assert send(f"{elsewhere.base_url}/", headers, None) == 200

    assert said(elsewhere.take("it")) == {}
    assert said(here.take("it")) == {"x-feature": "chat"}


@pytest.mark.parametrize("send", CLIENTS)
def test_services_get_baggage_beside_what_is_there(
    send: Send, here: ReplayProvider, elsewhere: ReplayProvider
) -> None:
    spanmeter.instrument(services=here.base_url)

    with spanmeter.feature("chat ä"), spanmeter.tags(env="prod"):
        bare = ask(send, here)
        more = ask(send, here, baggage="user.id=7;p=1,spanmeter.feature=stale,a=%20")
        other = ask(send, elsewhere)

    ours = "spanmeter.feature=chat%20%C3%A4,spanmeter.tag.env=prod"
    assert bare == {"baggage": ours}
    assert more == {"baggage": f"user.id=7;p=1,a=%20,{ours}"}
    assert other == {}


@pytest.mark.parametrize(
    "wrong", ["", "http://", "ftp://gateway", "gateway/v1", "http://u:p@gateway", "gateway:port"]
)
def test_a_host_that_is_none_is_refused_and_nothing_changes(
    wrong: str, here: ReplayProvider
) -> None:
    spanmeter.instrument(here.base_url)

    with pytest.raises(InvalidSetting):
        spanmeter.instrument(wrong, feature="other")

    with spanmeter.feature("chat"):
        assert ask(CLIENTS[0], here) == {"x-feature": "chat"}
    assert spanmeter.current().feature == "untagged"


def test_being_told_nothing_is_an_error() -> None:
    with pytest.raises(InvalidSetting, match="needs a gateway, services or direct=True"):
        spanmeter.instrument()
