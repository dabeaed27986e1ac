"""A gateway that prints everything it can, and calls of every kind through it."""

from collections.abc import Mapping

from tests.fakes.raw_client import RawClient
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess
from tests.traffic import CHAT, KINDS, PRICES, Made, call

ROUNDS = 6
OTHERS = 5
"""Calls that `drive` makes beside those that it returns."""


def gateway_with(provider: ReplayProvider, environ: Mapping[str, str]) -> GatewayProcess:
    """Prepare one with two workers, both generations of names and every metric."""
    return GatewayProcess(
        workers=2,
        upstreams={
            "openai": {"base_url": provider.base_url},
            "anthropic": {"base_url": provider.base_url},
            "refused": {"provider": "openai", "base_url": "http://127.0.0.1:9"},
        },
        settings={
            "semconv": "both",
            "cost_alias": True,
            "metrics": {"operation_cost": True},
            "prices": PRICES,
        },
        environ=environ,
    )


def drive(gateway: GatewayProcess) -> list[Made]:
    """Make calls of every kind for two features, then others that end in other ways."""
    with RawClient(gateway.url) as client:
        made = [
            Made(f"{turn}-{number}", feature, kind, call(client, kind, feature, "same"), 0, 0)
            for turn in range(ROUNDS)
            for number, kind in enumerate(KINDS)
            for feature in ("counted-a", "counted b/\u00e9")
        ]
        plain = KINDS[0].body
        _other(client, "/refused" + CHAT, plain)
        _other(client, CHAT, plain.replace(b"gpt-4o-mini", b"nobody-knows-it"))
        _other(client, CHAT, b"{not json")
        _other(client, CHAT, plain, tags="cost-center:x,team:a,env:prod,broken")
        _other(client, "/v1/files", b"{}")
    return made


def _other(client: RawClient, target: str, body: bytes, tags: str = "env:test") -> None:
    headers = [("x-feature", "other"), ("x-tags", tags), ("x-task", "t"), ("x-script", "chat")]
    client.call(target, body, headers=headers)
