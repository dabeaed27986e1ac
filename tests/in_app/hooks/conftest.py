"""Two servers that remember what they were sent: `here` stands for a gateway, `elsewhere` not."""

from collections.abc import Iterator

import pytest
from tests.fakes.exchange import Answer, Exchange
from tests.fakes.replay_provider import ReplayProvider

import spanmeter


async def redirect(exchange: Exchange, where: str) -> bool:
    """Send the caller to another URL, with its method and body."""
    return await exchange.send(Answer(307, [("location", where)]))


async def fine(exchange: Exchange, _: str) -> bool:
    return await exchange.send(Answer(200, []))


async def answer_after_redirect(exchange: Exchange, where: str) -> bool:
    """Redirect what came to `/`, and answer what came to another path."""
    is_first = exchange.received.target == "/"
    return await (redirect if is_first else fine)(exchange, where)


SCRIPTS = {"fine": fine, "redirect": answer_after_redirect}


@pytest.fixture(scope="module")
def here() -> Iterator[ReplayProvider]:
    with ReplayProvider(scripts=SCRIPTS) as running:
        yield running


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[ReplayProvider]:
    with ReplayProvider(scripts=SCRIPTS) as running:
        yield running


@pytest.fixture(autouse=True)
def _nothing_is_left_hooked() -> Iterator[None]:
    yield
    spanmeter.uninstrument()
    spanmeter.set_default()
