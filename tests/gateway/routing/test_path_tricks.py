"""Paths that two readers could read differently never go on, and no path leaves its upstream."""

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanmeter.dialects.registry import recognise
from spanmeter_gateway.errors import CallerError, MethodNotAllowed, UnknownPath
from spanmeter_gateway.routing.choice import Directory, join_base
from spanmeter_gateway.upstreams.providers import well_known_upstreams
from spanmeter_gateway.upstreams.upstream import Upstream

BASE = "/openai/v1"
OWN = Upstream(name="own", provider="vllm", base_url=f"http://127.0.0.1:8000{BASE}")
AZURE = Upstream(
    name="azure",
    provider="azure.ai.openai",
    base_url="https://r.openai.azure.com",
    api_version="2024-10-21",
)
PIECES = (
    *("/", "//", ".", "..", "%2e", "%2E", "%252e", "%2f", "%2F", "%5c", "\\", ";", ";x=1", "%3b"),
    *("%00", "%0d%0a", "%7f", "?", "#", "@", ":", "%3A", "*", "%", "%zz", "http://evil", "evil:80"),
    *(
        "v1",
        "V1",
        "own",
        "OWN",
        "%6fwn",
        "azure",
        "admin",
        "openai",
        "deployments",
        "chat",
        "%63hat",
    ),
    *("completions", "Completions", "completion%73", "embeddings", "messages", "models", "x"),
    *("threads", "x:generateContent", "locations"),
)


def directory() -> Directory:
    return Directory([OWN, AZURE, *well_known_upstreams()], default="own")


def find(target: str, *, method: str = "POST", asked: str | None = None) -> tuple[str, str, bool]:
    """Return the upstream, the path there, and whether the call is metered."""
    known = directory()
    address = known.address(method, target, None)
    upstream = known.asked_upstream(asked)
    choice = known.choose(address, asked=upstream, model="a-model", hint=None)
    base = urlsplit(choice.upstream.base_url).path
    joined = join_base(base, choice.target) if base else choice.target
    return choice.upstream.name, joined, address.dialect is not None


@pytest.mark.parametrize(
    "target",
    [
        *("/own/../admin", "/own/..", "/../admin", "/v1/../admin", "/own/v1/%2e%2e/admin"),
        *("/own/.%2E/admin", "/own/..%2fadmin", "/own/%2e%2e%2fadmin", "/own/..%5cadmin"),
        *("/own/..\\admin", "/own\\..\\admin", "/own/..;/admin", "/own/..;x=1/admin"),
        *("/own/%252e%252e/admin", "/own/%252e%252e%252fadmin", "/own/v1/..%3b/admin"),
        *("/own/\x2e\x2e/admin", "//own/../admin", "/own/v1/x%2f..%2f..%2fadmin"),
        *("/own/v1/%00", "/own/v1/x%00.json", "/own/v1/%0d%0ax-a:b", "/own/v1/%7f", "/own/%2500"),
        *("/own/v1/files#x", "/own/v1/files?a#x", "/v1/chat/completions#", "#", "/#/v1"),
        *("*", "ftp://own/v1/files", "own/v1/files", "http:/own/v1", "own:80", "evil.com:443"),
        *("/v1/chat%2Fcompletions", "/v1/chat%2fcompletions", "/v1/chat/completion%73"),
        *("/v1/chat/./completions", "/v1/chat/completions/.", "/v1/chat/completions;x=1"),
        *("/v1/chat;x/completions", "/v1\\chat\\completions", "/v1/Chat/Completions"),
        *("/V1/CHAT/COMPLETIONS", "/v1/chat%252fcompletions", "/v1/chat%2f/completions"),
        *("/v1/%74hreads/t/messages", "/openai/%64eployments/d/embeddings", "/%6fwn/v1/models"),
        *(
            "/v1/chat/completions/.;x",
            "/v1/chat/%2e;x/completions",
            "/own%2fv1/models",
            "/own;x/v1/models",
            "/v1/embeddin%67s",
            "/v1/embeddings%2f",
        ),
    ],
)
def test_a_path_that_could_be_read_otherwise_is_refused_by_name_or_not(target: str) -> None:
    for asked in (None, "own", "azure"):
        with pytest.raises(UnknownPath):
            find(target, asked=asked)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/own/v1/files/a..b", "/openai/v1/files/a..b"),
        ("/own/v1/models/org%2Fmodel", "/openai/v1/models/org%2Fmodel"),
        ("/own/v1/files/caf%C3%A9%20x", "/openai/v1/files/caf%C3%A9%20x"),
        ("/own/v1/files/...", "/openai/v1/files/..."),
        ("/own/v1/files?path=../../admin%00", "/openai/v1/files?path=../../admin%00"),
        ("/own/v1/Files/AbC", "/openai/v1/Files/AbC"),
        ("http://evil.com/own/v1/files", "/openai/v1/files"),
        ("https://user:pass@evil.com:9/own/v1/files", "/openai/v1/files"),
        ("/own/http://evil.com/", "/openai/v1/http://evil.com/"),
        ("/own//evil.com/x", "/openai/v1//evil.com/x"),
        ("/own/@evil.com", "/openai/v1/@evil.com"),
        ("/own", "/openai/v1/"),
    ],
)
def test_a_path_that_is_only_odd_goes_on_below_its_base(target: str, path: str) -> None:
    assert find(target, method="GET") == ("own", path, False)


@pytest.mark.parametrize("model", ["..", "."])
def test_a_model_is_no_way_out_of_its_deployment(model: str) -> None:
    known = directory()
    address = known.address("POST", "/v1/chat/completions", None)

    with pytest.raises(UnknownPath):
        known.choose(address, asked=AZURE, model=model)


@pytest.mark.parametrize(
    "model", ["a/b", "../x", "a?b=c#d", "a\r\nx-a: b", "a\0b", "\ud800", "%2e%2e"]
)
def test_a_model_is_one_segment_whatever_it_is_called(model: str) -> None:
    known = directory()
    address = known.address("POST", "/v1/chat/completions", None)

    target = known.choose(address, asked=AZURE, model=model).target

    assert target.count("/") == 5
    assert target.isascii()
    assert target.isprintable()
    assert target.endswith("/chat/completions?api-version=2024-10-21")


@pytest.mark.parametrize("target", ["/v1/models", "/own/v1/models", "/nobody"])
def test_a_method_that_would_show_our_credential_is_refused(target: str) -> None:
    with pytest.raises(MethodNotAllowed):
        find(target, method="TRACE")


def leniently(path: str) -> str:
    """Read a path as the most lenient server that we can think of, apart from the code."""
    for _ in range(3):
        path = unquote(path)
    kept: list[str] = []
    for raw in path.replace("\\", "/").split("/"):
        segment = raw.partition(";")[0]
        if segment == "..":
            kept = kept[:-1]
        elif segment not in ("", "."):
            kept.append(segment)
    return "/" + "/".join(kept)


@settings(max_examples=1500)
@given(
    parts=st.lists(st.sampled_from(PIECES), min_size=1, max_size=7),
    separator=st.sampled_from(["/", ""]),
    asked=st.sampled_from([None, "own", "azure"]),
)
def test_no_path_leaves_its_upstream_or_is_metered_otherwise_than_it_is_read(
    parts: list[str], separator: str, asked: str | None
) -> None:
    target = "/" + separator.join(parts)
    try:
        name, joined, is_metered = find(target, asked=asked)
    except CallerError:
        return
    path = joined.partition("?")[0]
    assert path.startswith("/")
    assert "#" not in joined
    if name == "own":
        assert (leniently(path) + "/").startswith(BASE + "/")
    assert is_metered == (recognise("POST", leniently(path)) is not None)
