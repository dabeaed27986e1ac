"""Which proxy leads to an upstream, by its own configuration and by the environment."""

import base64

import pytest

from spanmeter_gateway.errors import StartError
from spanmeter_gateway.upstreams.proxy import (
    InvalidProxy,
    Proxy,
    is_exempt,
    parse_proxy,
    proxy_from,
)
from spanmeter_gateway.upstreams.upstream import Credential, Upstream
from spanmeter_gateway.upstreams.way import egress_proxy

HTTPS = "https://api.openai.com"
NAMED = Proxy("proxy", 3128)


@pytest.mark.parametrize(
    ("no_proxy", "host", "exempt"),
    [
        ("", "example.com", False),
        ("*", "example.com", True),
        ("other, *", "10.0.0.1", True),
        ("example.com", "example.com", True),
        ("example.com", "api.example.com", True),
        ("example.com", "anexample.com", False),
        ("EXAMPLE.com", "Example.COM", True),
        ("example.com", "example.com.", True),
        (".example.com", "api.example.com", True),
        (".example.com", "example.com", False),
        ("*.example.com", "api.example.com", True),
        ("*.example.com", "example.com", False),
        ("example.com:443", "example.com", True),
        ("example.com:8443", "example.com", False),
        (".example.com:443", "api.example.com", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3:443", "10.1.2.3", True),
        ("10.1.2.3:80", "10.1.2.3", False),
        ("10.1.2", "10.1.2.3", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.1/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "ten.example.com", False),
        ("10.0.0.0/99", "10.1.2.3", False),
        ("2001:db8::/32", "2001:db8::7", True),
        ("2001:db8::7", "2001:db8::7", True),
        ("2001:db8:0::7", "2001:db8::7", True),
        ("[2001:db8::7]:443", "2001:db8::7", True),
        ("[2001:db8::7]:80", "2001:db8::7", False),
        ("a.example, b.example ,c.example", "b.example", True),
        (",,", "example.com", False),
    ],
)
def test_no_proxy_exempts_as_in_go(no_proxy: str, host: str, *, exempt: bool) -> None:
    assert is_exempt(host, 443, no_proxy=no_proxy) is exempt


@pytest.mark.parametrize(
    ("environ", "base_url", "proxy"),
    [
        ({}, HTTPS, None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, HTTPS, NAMED),
        ({"https_proxy": "http://proxy:3128"}, HTTPS, NAMED),
        ({"https_proxy": "proxy:3128", "HTTPS_PROXY": "http://other:1"}, HTTPS, NAMED),
        ({"https_proxy": "", "HTTPS_PROXY": "proxy:3128"}, HTTPS, NAMED),
        ({"HTTP_PROXY": "http://proxy:3128"}, HTTPS, None),
        ({"HTTP_PROXY": "http://proxy:3128"}, "http://llm.example", NAMED),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://llm.example", None),
        ({"HTTPS_PROXY": "https://proxy"}, HTTPS, Proxy("proxy", 443, is_tls=True)),
        ({"HTTPS_PROXY": "http://[::1]:3128"}, HTTPS, Proxy("::1", 3128)),
        ({"HTTPS_PROXY": "proxy:3128", "no_proxy": "openai.com"}, HTTPS, None),
        ({"HTTPS_PROXY": "proxy:3128", "NO_PROXY": "openai.com:80"}, HTTPS, NAMED),
        ({"HTTP_PROXY": "proxy:3128"}, "http://127.0.0.1:8000", None),
        ({"HTTP_PROXY": "proxy:3128"}, "http://[::1]:8000", None),
        ({"HTTP_PROXY": "proxy:3128"}, "http://localhost:8000", None),
    ],
)
def test_the_environment_names_a_proxy(
    environ: dict[str, str], base_url: str, proxy: Proxy | None
) -> None:
    assert proxy_from(environ, base_url) == proxy


def test_a_login_of_the_environment_is_decoded_and_never_shown() -> None:
    proxy = proxy_from({"https_proxy": "http://me:p%40ss@proxy:3128"}, HTTPS)

    assert proxy is not None
    assert proxy.authorization == b"Basic " + base64.b64encode(b"me:p@ss")
    assert (str(proxy), "Basic" in repr(proxy)) == ("http://proxy:3128", False)


@pytest.mark.parametrize(
    "url",
    [
        *("socks5://proxy:1080", "ftp://proxy", "http:///", "http://proxy:0", "http://proxy:99999"),
        *("http://proxy:x", "http://pro xy", "http://proxy/path", "http://proxy?x=1"),
    ],
)
def test_what_is_no_proxy_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(InvalidProxy) as refused:
        parse_proxy(url)

    assert url not in str(refused.value)


def upstream(proxy: str | None, login: Credential | None = None) -> Upstream:
    return Upstream("u", "openai", HTTPS, proxy=proxy, proxy_login=login or Credential())


ENVIRON = {"HTTPS_PROXY": "proxy:3128", "LOGIN": "me:word"}


@pytest.mark.parametrize(
    ("asked", "proxy"),
    [
        (upstream(None), NAMED),
        (upstream("none"), None),
        (upstream("http://own:1"), Proxy("own", 1)),
        (
            upstream("http://own:1", Credential("env", "LOGIN")),
            Proxy("own", 1, authorization=b"Basic bWU6d29yZA=="),
        ),
    ],
)
def test_an_upstreams_own_proxy_comes_before_the_environments(
    asked: Upstream, proxy: Proxy | None
) -> None:
    assert egress_proxy(asked, ENVIRON) == proxy


def test_a_proxy_that_cannot_be_used_ends_the_start() -> None:
    with pytest.raises(StartError, match="HTTPS_PROXY, HTTP_PROXY: must begin with http://"):
        egress_proxy(upstream(None), {"HTTPS_PROXY": "socks5://me:word@proxy"})
