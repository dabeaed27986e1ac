"""Find the machine code in a provider's error, whatever its shape; never the prose beside it."""

from typing import Any, Final

import msgspec

from spanmeter.dialects.json_values import decode, integer

OPENAI_KEYS: Final = ("code", "type", "status")
"""https://platform.openai.com/docs/guides/error-codes: `code` is the finer one, often null."""
ANTHROPIC_KEYS: Final = ("type", "code")
"""https://docs.anthropic.com/en/api/errors: the code stands in `error.type`."""
GEMINI_KEYS: Final = ("status", "code")
"""https://cloud.google.com/apis/design/errors: `status` is a name, `code` the HTTP status."""

_LONGEST_CODE = 64  # xAI sends short sentences as codes; anything longer is prose
_ANY = msgspec.json.Decoder(Any)


def code_in(error: Any, keys: tuple[str, ...]) -> str | None:
    """Return the first of `keys` in an error object that holds a code."""
    if not isinstance(error, dict):
        return None
    return next((code for key in keys if (code := _code(error.get(key)))), None)


def code_in_answer(answer: Any, keys: tuple[str, ...]) -> str | None:
    """Return the code of a whole answer: in its `error`, or flat as xAI, Mistral and vLLM send it.

    Google wraps the error of a stream in an array.
    """
    if isinstance(answer, list):
        answer = answer[0] if answer else None
    if not isinstance(answer, dict):
        return None
    error = answer.get("error")
    if isinstance(error, dict):
        return code_in(error, keys)
    if answer.get("type") == "error":
        keys = tuple(key for key in keys if key != "type")
    return code_in(answer, keys)


def code_in_body(body: bytes | bytearray, keys: tuple[str, ...]) -> str | None:
    """Return the code in an error body; `None` when the body is not JSON or has no code."""
    try:
        return code_in_answer(decode(_ANY, body), keys)
    except (ValueError, RecursionError):
        return None


def _code(value: Any) -> str | None:
    if type(value) is int and integer(value) is not None:
        value = str(value)
    is_code = isinstance(value, str) and 0 < len(value) <= _LONGEST_CODE and value.isprintable()
    return value if is_code else None
