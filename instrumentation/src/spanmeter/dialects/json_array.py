"""The objects of a JSON array that arrives piece by piece, as Gemini streams without `alt=sse`.

Only the array's own objects are of use; other elements are stepped over.
"""

import re

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[][{}"]', re.DOTALL)
_OPENING = frozenset((b"{", b"["))
_CLOSING = frozenset((b"}", b"]"))


def split_objects(pending: bytes) -> tuple[list[bytes], bytes]:
    """Split what follows the array's `[` into whole objects and the unfinished rest.

    The next bytes belong behind the rest, which begins where an element does: nothing else needs
    to be remembered. Junk yields no object.
    """
    objects: list[bytes] = []
    depth = 0
    start = 0
    for token in _TOKEN.finditer(pending):
        lexeme = token[0]
        if lexeme in _OPENING:
            if depth == 0:
                start = token.start()
            depth += 1
        elif lexeme in _CLOSING:
            depth = max(depth - 1, 0)
            if depth == 0 and pending.startswith(b"{", start):
                objects.append(pending[start : token.end()])
        elif lexeme == b'"':  # a string that has not ended yet
            return objects, pending[start if depth else token.start() :]
        if depth == 0:
            start = token.end()
    return objects, pending[start:] if depth else b""
