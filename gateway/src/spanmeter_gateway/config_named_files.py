"""The files that a configuration names, tried before anything starts.

What a relay cannot use later is said here, under the key that names it. No content is repeated.
"""

import ssl
from collections.abc import Callable
from pathlib import Path

Note = Callable[[str, str], None]
"""Takes a dotted key and what is wrong there."""


def check_readable(path: str, key: str, note: Note) -> bool:
    """Note a file that cannot be read, or is empty; say whether it is sound."""
    try:
        with Path(path).open("rb") as file:
            is_empty = not file.read(1)
    except OSError as error:
        note(key, f"cannot read {path}: {error.strerror}")
        return False
    if is_empty:
        note(key, f"{path} is empty")
    return not is_empty


def check_certificates(path: str, key: str, note: Note) -> bool:
    """Note a file that holds no certificate; say whether it is sound."""
    if not check_readable(path, key, note):
        return False
    trial = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        trial.load_verify_locations(cafile=path)
        is_sound = trial.cert_store_stats()["x509"] > 0
    except ssl.SSLError:
        is_sound = False
    if not is_sound:
        note(key, f"{path} holds no certificate in PEM form that can be read")
    return is_sound


def check_certificate_and_key(cert_file: str, key_file: str, note: Note) -> None:
    """Note what keeps the relay port from its certificate, under `tls.cert_file` or its key's."""
    is_certificate = check_certificates(cert_file, "tls.cert_file", note)
    is_key = check_readable(key_file, "tls.key_file", note)
    if not is_certificate or not is_key:
        return
    asked: list[str] = []

    def no_password() -> str:
        asked.append(key_file)
        return ""

    try:
        # Without the function OpenSSL would ask at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert_file, key_file, no_password)
    except (ssl.SSLError, ValueError) as error:
        reason = str(getattr(error, "reason", None) or "")
        if asked:
            note("tls.key_file", "is encrypted: the gateway has no password for it")
        elif "MISMATCH" in reason or reason == "NO_CERTIFICATE_ASSIGNED":  # to a key of that kind
            note("tls.key_file", "is not the key of tls.cert_file")
        elif "TOO_" in reason:  # EE_KEY_TOO_SMALL, CA_MD_TOO_WEAK
            note("tls.cert_file", f"is refused by OpenSSL: {reason.lower().replace('_', ' ')}")
        else:
            note("tls.key_file", f"{key_file} holds no private key in PEM form that can be read")
