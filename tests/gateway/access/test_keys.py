import pytest

from spanmeter_gateway.access.keys import GatewayKeys
from spanmeter_gateway.errors import InvalidGatewayKey, StartError

KEYS = GatewayKeys({"search": "canary-one", "batch": "canary-two"})


@pytest.mark.parametrize(("shown", "name"), [(b"canary-one", "search"), (b"canary-two", "batch")])
def test_a_key_is_known_by_its_name(shown: bytes, name: str) -> None:
    assert KEYS.identify(shown) == name


def test_two_names_of_one_secret_are_refused_and_named() -> None:
    with pytest.raises(StartError) as refused:
        GatewayKeys({"search": "canary", "batch": "other", "again": "canary"})

    assert refused.value.message == (
        "gateway_keys: search and again have the same secret; each needs its own"
    )


@pytest.mark.parametrize(
    "shown", [None, b"", b"canary", b"canary-one ", b"Canary-one", b"canary-one\xff", b"search"]
)
def test_anything_else_is_refused_and_not_repeated(shown: bytes | None) -> None:
    with pytest.raises(InvalidGatewayKey, match=r"as X-Gateway-Key$") as refused:
        KEYS.identify(shown)

    assert "canary" not in str(refused.value)


def test_an_empty_secret_opens_nothing() -> None:
    keys = GatewayKeys({"search": ""})

    with pytest.raises(InvalidGatewayKey):
        keys.identify(b"")


def test_the_secrets_themselves_are_not_kept() -> None:
    assert "canary" not in repr(KEYS._name_by_digest)
