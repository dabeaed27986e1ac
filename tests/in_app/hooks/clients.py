"""One request by each HTTP library that is hooked, sync and async, perhaps through a proxy.

A plain-text proxy is sent the whole request, so a test can ask for any host.
"""

import asyncio
from collections.abc import Callable, Mapping

import aiohttp
import httpx
import httpx2
import requests

BODY = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"CANARY of a prompt"}]}'
Send = Callable[[str, Mapping[str, str], str | None], int]
"""URL, headers, proxy; gives the status that it ended with after redirects."""


def by_httpx(url: str, headers: Mapping[str, str], proxy: str | None) -> int:
    with httpx.Client(proxy=proxy, follow_redirects=True, trust_env=False) as client:
        return client.post(url, headers=headers, content=BODY).status_code


def by_httpx_async(url: str, headers: Mapping[str, str], proxy: str | None) -> int:
    async def send() -> int:
        async with httpx.AsyncClient(proxy=proxy, follow_redirects=True, trust_env=False) as client:
            return (await client.post(url, headers=headers, content=BODY)).status_code

    return asyncio.run(send())


def by_httpx2(url: str, headers: Mapping[str, str], proxy: str | None) -> int:
    with httpx2.Client(proxy=proxy, follow_redirects=True, trust_env=False) as client:
        return client.post(url, headers=headers, content=BODY).status_code


def by_httpx2_async(url: str, headers: Mapping[str, str], proxy: str | None) -> int:
    async def send() -> int:
        async with httpx2.AsyncClient(
            proxy=proxy, follow_redirects=True, trust_env=False
        ) as client:
            return (await client.post(url, headers=headers, content=BODY)).status_code

    return asyncio.run(send())


def by_requests(url: str, headers: Mapping[str, str], proxy: str | None) -> int:
    with requests.Session() as session:
        session.trust_env = False
        session.proxies = {"http": proxy} if proxy else {}
        return session.post(url, headers=dict(headers), data=BODY).status_code


def by_aiohttp(url: str, headers: Mapping[str, str], proxy: str | None) -> int:
    async def send() -> int:
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, headers=headers, data=BODY, proxy=proxy) as answer,
        ):
            await answer.read()
            return answer.status

    return asyncio.run(send())


CLIENTS: list[Send] = [
    by_httpx,
    by_httpx_async,
    by_httpx2,
    by_httpx2_async,
    by_requests,
    by_aiohttp,
]
