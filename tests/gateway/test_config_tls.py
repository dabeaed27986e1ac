"""Certificates and keys are tried when the configuration is read, not by relays that die."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from spanmeter_gateway.config import Tls
from spanmeter_gateway.config_file import load
from spanmeter_gateway.errors import ConfigError

FILE = Path("spanmeter.yaml")
NO_CERTIFICATE = "holds no certificate in PEM form that can be read"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A certificate with its key in the working folder, and a configuration that names them."""
    monkeypatch.chdir(tmp_path)
    issued = trustme.CA().issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path("cert.pem")
    issued.private_key_pem.write_to_path("key.pem")
    FILE.write_text("tls: {cert_file: cert.pem, key_file: key.pem}")
    return tmp_path


def problems() -> list[str]:
    with pytest.raises(ConfigError) as refused:
        load(FILE, {})
    return str(refused.value).splitlines()


def swap_the_key() -> None:
    trustme.CA().issue_cert("localhost").private_key_pem.write_to_path("key.pem")


def swap_the_key_for_another_kind() -> None:
    other = trustme.CA().issue_cert("localhost", key_type=trustme.KeyType.RSA)
    other.private_key_pem.write_to_path("key.pem")


def encrypt_the_key() -> None:
    encrypted = generate_private_key(SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"canary")
    )
    Path("key.pem").write_bytes(encrypted)


def break_the_certificate() -> None:
    Path("cert.pem").write_text("-----BEGIN CERTIFICATE-----\njunk\n-----END CERTIFICATE-----\n")


def test_a_certificate_and_its_key_are_taken(folder: Path) -> None:
    assert load(FILE, {}).tls == Tls("cert.pem", "key.pem")


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (swap_the_key, "tls.key_file: is not the key of tls.cert_file"),
        (swap_the_key_for_another_kind, "tls.key_file: is not the key of tls.cert_file"),
        (encrypt_the_key, "tls.key_file: is encrypted: the gateway has no password for it"),
        (
            lambda: Path("key.pem").write_text("junk"),
            "tls.key_file: key.pem holds no private key in PEM form that can be read",
        ),
        (
            lambda: Path("key.pem").write_bytes(Path("cert.pem").read_bytes()),
            "tls.key_file: key.pem holds no private key in PEM form that can be read",
        ),
        (break_the_certificate, f"tls.cert_file: cert.pem {NO_CERTIFICATE}"),
        (
            lambda: Path("cert.pem").write_bytes(Path("key.pem").read_bytes()),
            f"tls.cert_file: cert.pem {NO_CERTIFICATE}",
        ),
        (
            lambda: Path("cert.pem").unlink(),
            "tls.cert_file: cannot read cert.pem: No such file or directory",
        ),
        (lambda: Path("key.pem").write_text(""), "tls.key_file: key.pem is empty"),
    ],
)
def test_what_no_port_could_speak_tls_with_is_named(
    folder: Path, spoil: Callable[[], object], problem: str
) -> None:
    spoil()

    assert problems() == [f"spanmeter.yaml: {problem}"]


def test_a_bundle_without_a_certificate_is_named(folder: Path) -> None:
    FILE.write_text("upstreams: {openai: {ca_file: key.pem}}")

    assert problems() == [f"spanmeter.yaml: upstreams.openai.ca_file: key.pem {NO_CERTIFICATE}"]
