"""A configuration as one relay process uses it: everything opened that it names.

A later generation is opened beside the one that serves, and keeps what is the same, so that the
connections to an upstream outlive a change elsewhere.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from spanmeter_gateway.access.keys import GatewayKeys
from spanmeter_gateway.config import Config
from spanmeter_gateway.errors import StartError
from spanmeter_gateway.relay.endpoint import Endpoint, open_endpoint
from spanmeter_gateway.relay.journey import Rules
from spanmeter_gateway.routing.choice import Directory
from spanmeter_gateway.upstreams.secret import read_credential
from spanmeter_gateway.upstreams.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Opened:
    """One generation, ready to serve."""

    config: Config
    generation: int
    rules: Rules
    endpoints: Mapping[str, Endpoint]
    prints: Mapping[str, bytes]
    """By upstream: a digest of what it names and what was read for it."""


def open_configuration(config: Config, generation: int, before: Opened | None = None) -> Opened:
    """Open what a configuration names; raises `StartError` for what cannot be used."""
    try:
        prints = {row.name: _print(row) for row in config.upstreams}
        endpoints = {
            row.name: _kept(row, prints[row.name], before) or open_endpoint(row)
            for row in config.upstreams
        }
        rules = _rules(config)
        if config.tls is not None:
            trial = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            trial.load_cert_chain(config.tls.cert_file, config.tls.key_file)
    except OSError as error:  # a file was there when the configuration was checked
        raise StartError(str(error)) from error
    return Opened(config, generation, rules, endpoints, prints)


def _kept(upstream: Upstream, mark: bytes, before: Opened | None) -> Endpoint | None:
    """Return the endpoint of the generation before, if it would be opened as it is."""
    if before is None or before.prints.get(upstream.name) != mark:
        return None
    found = before.endpoints[upstream.name]
    return found if found.upstream == upstream else None


def _print(upstream: Upstream) -> bytes:
    secrets = (read_credential(upstream.credential), read_credential(upstream.proxy_login))
    authority = Path(upstream.ca_file).read_bytes() if upstream.ca_file else b""
    return sha256(repr((*secrets, authority)).encode()).digest()


def _rules(config: Config) -> Rules:
    return Rules(
        directory=Directory(
            config.upstreams,
            default=config.default_upstream,
            ignore_invalid_provider=config.invalid_provider_detect,
        ),
        attribution=config.attribution,
        ask_for_usage=config.ask_for_usage,
        times_chunks=config.metrics.time_per_output_chunk,
        keys=_open_keys(config),
    )


def _open_keys(config: Config) -> GatewayKeys | None:
    if not config.gateway_keys:
        return None
    return GatewayKeys({key.name: read_credential(key.secret) or "" for key in config.gateway_keys})
