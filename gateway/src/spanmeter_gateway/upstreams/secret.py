"""Reading the secrets that a configuration only names: in a process that uses them, never before.

What is no secret is told by its place and not by its text: somebody may have put the secret itself
where its name belongs.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from spanmeter_gateway.errors import StartError
from spanmeter_gateway.upstreams.upstream import Credential

ONE_LINE = "must be one line of visible ASCII characters"
_SECRET = re.compile(r"[\x20-\x7e]*")
"""Less than RFC 9110 lets a field value be, and what every provider's keys are: a line break in one
would begin a header of its own."""
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
"""POSIX, Environment Variable Definition: what is written so is a name, and may be shown."""


def read_credential(credential: Credential, environ: Mapping[str, str] = os.environ) -> str | None:
    """Read the secret that is named; `None`: we hold none.

    Raises `OSError` for a file and `StartError` for what no header can carry.
    """
    if credential.kind == "passthrough":
        return None
    if credential.kind == "env":
        secret = environ.get(credential.source, "").strip()
    else:
        secret = Path(credential.source).read_text(encoding="utf-8", errors="replace").strip()
    if not _SECRET.fullmatch(secret):
        raise StartError(f"{shown(credential)} {ONE_LINE}")
    return secret


def environ_without(
    environ: Mapping[str, str], others: Iterable[Credential], *, own: Iterable[Credential] = ()
) -> dict[str, str]:
    """Leave out the variables that hold other processes' secrets, unless they are `own` too."""
    kept = {credential.source for credential in own if credential.kind == "env"}
    left_out = {credential.source for credential in others if credential.kind == "env"} - kept
    return {name: value for name, value in environ.items() if name not in left_out}


def shown(credential: Credential) -> str:
    """Name where a secret is found, if what stands there can only be a name."""
    if credential.kind == "env":
        is_name = _VARIABLE.fullmatch(credential.source) is not None
        variable = "the environment variable"
        return f"{variable} {credential.source}" if is_name else f"{variable} that it names"
    is_path = credential.source.startswith(("/", "."))
    return credential.source if is_path else "the file that it names"
