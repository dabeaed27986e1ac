"""The ASGI middleware against applications that do nothing but tell what they belong to."""

import asyncio
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import spanmeter
from spanmeter.asgi import FeatureMiddleware

ROUTES = {"/chat/*": "chat", "/chat/old/*": "old-chat", "/items/*/summary": "summaries"}
UNTAGGED = spanmeter.Attribution()


class Telling:
    """An ASGI application that keeps what the code in it belongs to."""

    def __init__(self) -> None:
        self.told: list[spanmeter.Attribution] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.told.append(spanmeter.current())


async def nothing() -> MutableMapping[str, Any]:
    raise AssertionError("nobody reads here")


async def nowhere(_message: MutableMapping[str, Any]) -> None:
    return


def told(
    path: str,
    *baggage: bytes,
    kind: str = "http",
    root_path: str = "",
    routes: dict[str, str] | None = None,
    reads_baggage: bool = False,
) -> spanmeter.Attribution:
    """Return what the code that serves this request belongs to."""
    app = Telling()
    scope = {
        "type": kind,
        "path": path,
        "root_path": root_path,
        "headers": [(b"host", b"shop"), *((b"baggage", line) for line in baggage)],
    }
    middleware = FeatureMiddleware(app, ROUTES if routes is None else routes, baggage=reads_baggage)
    asyncio.run(middleware(scope, nothing, nowhere))
    assert spanmeter.current() == UNTAGGED
    return app.told[0]


@pytest.mark.parametrize(
    ("path", "feature"),
    [
        ("/chat/42", "chat"),
        ("/chat/a/b/c", "chat"),
        ("/chat/", "chat"),
        ("/chat/old/1", "chat"),  # the first match wins
        ("/items/7/summary", "summaries"),
        ("/chat", "untagged"),
        ("/CHAT/42", "untagged"),
        ("/api/chat/42", "untagged"),
        ("/items/7/summary/more", "untagged"),
        ("/chat/line\nbreak", "chat"),
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_request_belongs_to_the_feature_of_the_first_pattern_that_its_path_matches(
    path: str, feature: str, kind: str
) -> None:
    assert told(path, kind=kind) == UNTAGGED._replace(feature=feature)


@pytest.mark.parametrize(
    ("path", "root_path", "feature"),
    [
        ("/v2/chat/42", "/v2", "chat"),
        ("/v2/chat/42", "/v2/", "chat"),
        ("/chat/42", "/v2", "chat"),  # a server that leaves the mount out of the path
        ("/chat/42", "/chat", "untagged"),
        ("/chatter/chat/1", "/chat", "untagged"),
        ("/chat/chat/42", "/chat", "chat"),
    ],
)
def test_paths_begin_where_the_application_is_mounted(
    path: str, root_path: str, feature: str
) -> None:
    assert told(path, root_path=root_path).feature == feature


def test_a_mounted_application_of_a_framework_has_routes_of_its_own() -> None:
    async def tell(_request: Request) -> PlainTextResponse:
        return PlainTextResponse(spanmeter.current().feature)

    inner = FeatureMiddleware(Starlette(routes=[Route("/chat/{id}", tell)]), {"/chat/*": "inner"})
    outer = FeatureMiddleware(Starlette(routes=[Mount("/v2", inner)]), {"/v2/*": "outer"})

    answered: list[bytes] = []

    async def keep(message: MutableMapping[str, Any]) -> None:
        answered.append(message.get("body", b""))

    scope = {"type": "http", "method": "GET", "path": "/v2/chat/42", "headers": []}
    asyncio.run(outer(scope, nothing, keep))

    assert b"".join(answered) == b"inner"


def test_what_is_around_stays_where_no_pattern_matches_and_is_the_same_afterwards() -> None:
    app = Telling()
    middleware = FeatureMiddleware(app, ROUTES)

    with spanmeter.feature("around"), spanmeter.tags(env="test"):
        before = spanmeter.current()
        for path in ("/", "/chat/1"):
            scope = {"type": "http", "path": path, "headers": []}
            asyncio.run(middleware(scope, nothing, nowhere))
        after = spanmeter.current()

    assert app.told == [before, before._replace(feature="chat")]
    assert after == before


def test_the_applications_start_and_end_go_through_untouched() -> None:
    app = Telling()

    asyncio.run(FeatureMiddleware(app, {"*": "all"})({"type": "lifespan"}, nothing, nowhere))

    assert app.told == [UNTAGGED]


def test_an_error_of_the_application_goes_through_and_leaves_nothing_behind() -> None:
    async def fail(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError(spanmeter.current().feature)

    async def serve() -> str:
        scope = {"type": "http", "path": "/chat/1", "headers": []}
        with pytest.raises(LookupError, match="chat"):
            await FeatureMiddleware(fail, ROUTES)(scope, nothing, nowhere)
        return spanmeter.current().feature

    assert asyncio.run(serve()) == "untagged"


def test_what_a_request_leaves_entered_ends_with_it() -> None:
    @contextmanager
    def never_left() -> Iterator[None]:
        with spanmeter.feature("forgotten"):
            yield

    held = []

    async def forget(scope: Any, receive: Any, send: Any) -> None:
        held.append(never_left())
        held[-1].__enter__()

    async def serve() -> str:
        scope = {"type": "http", "path": "/chat/1", "headers": []}
        await FeatureMiddleware(forget, ROUTES)(scope, nothing, nowhere)
        return spanmeter.current().feature

    assert asyncio.run(serve()) == "untagged"


BAGGAGE = b"spanmeter.feature=search,spanmeter.task=rank,spanmeter.tag.team=ml,user=7"


def test_baggage_is_not_believed_unless_asked_to_be() -> None:
    assert told("/", BAGGAGE) == UNTAGGED


def test_baggage_names_what_the_caller_belongs_to() -> None:
    expected = spanmeter.Attribution("search", "rank", (("team", "ml"),))

    assert told("/", BAGGAGE, reads_baggage=True, routes={}) == expected
    assert told("/", *BAGGAGE.split(b","), reads_baggage=True) == expected


def test_a_routes_feature_counts_more_than_baggage_and_the_rest_of_it_stays() -> None:
    expected = spanmeter.Attribution("chat", "rank", (("team", "ml"),))

    assert told("/chat/1", BAGGAGE, reads_baggage=True) == expected


@pytest.mark.parametrize("line", [b"\xff\xfe=%ff", b"spanmeter.feature", b",;=,", b"a" * 100_000])
def test_odd_baggage_changes_nothing(line: bytes) -> None:
    assert told("/", line, reads_baggage=True) == UNTAGGED


def test_baggage_in_a_flood_is_cut_to_the_limits() -> None:
    flood = b",".join(b"spanmeter.tag.t%d=v" % number for number in range(1000))

    assert len(told("/chat/1", flood, reads_baggage=True).tags) == 10


@pytest.mark.parametrize("pattern", ["chat/*", "", "/items/{id}", "/items/<int:id>", "GET /chat"])
def test_a_pattern_that_matches_no_path_is_refused_when_the_application_is_made(
    pattern: str,
) -> None:
    with pytest.raises(spanmeter.InvalidSetting, match="begins with / or"):
        FeatureMiddleware(Telling(), {pattern: "chat"})


@pytest.mark.parametrize("feature", ["", " chat", "untagged", "a" * 101])
def test_a_feature_that_is_none_is_refused_when_the_application_is_made(feature: str) -> None:
    with pytest.raises(spanmeter.InvalidAttribution):
        FeatureMiddleware(Telling(), {"/chat/*": feature})
