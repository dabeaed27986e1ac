"""Who calls: the secret that a caller shows, to the name that its calls are counted under.

Knows neither configuration nor HTTP: it is given the secrets once and keeps their digests alone.
"""

from collections.abc import Mapping
from hashlib import sha256

from spanmeter_gateway.errors import InvalidGatewayKey, StartError


class GatewayKeys:
    """The keys that open this gateway. Raises `StartError` for two names with one secret."""

    __slots__ = ("_name_by_digest",)

    def __init__(self, secret_by_name: Mapping[str, str]) -> None:
        # Looked up by digest: how long that takes says nothing about the secrets (CWE-208).
        self._name_by_digest: dict[bytes, str] = {}
        for name, secret in secret_by_name.items():
            if not secret:  # an empty one would open the gateway to an empty header
                continue
            first = self._name_by_digest.setdefault(_digest(secret.encode()), name)
            if first != name:
                raise StartError(
                    f"gateway_keys: {first} and {name} have the same secret; each needs its own"
                )

    def identify(self, shown: bytes | None) -> str:
        """Return the name of the key that was shown; raises `InvalidGatewayKey`."""
        name = self._name_by_digest.get(_digest(shown)) if shown else None
        if name is None:
            raise InvalidGatewayKey(
                "this gateway asks for a key: send one that its operator gave out as X-Gateway-Key"
            )
        return name


def _digest(secret: bytes) -> bytes:
    return sha256(secret).digest()
