import pytest

from spanmeter_gateway.access.keys import GatewayKeys
from spanmeter_gateway.errors import InvalidGatewayKey

KEYS = GatewayKeys({"search": "canary-one", "batch": "canary-two", "again": "canary-two"})


@pytest.mark.parametrize(("shown", "name"), [(b"canary-one", "search"), (b"canary-two", "batch")])
def test_a_key_is_known_by_its_name_and_of_two_names_the_first_counts(
    shown: bytes, name: str
) -> None:
    assert KEYS.identify(shown) == name


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
