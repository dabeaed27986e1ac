"""The page about the faults of a provider, written from their table."""

import os
from collections.abc import Iterator
from pathlib import Path

from tests.faults.provider_faults import CONNECTING, ENDING, FRAMING, HEADS, TLS_ENDING, End

PAGE = Path(__file__).parents[2] / "docs/faults.md"
VARIABLE = "SPANMETER_WRITE_DOCS"
SECTIONS = {
    "Connecting": CONNECTING,
    "Silence, closes and resets": ENDING,
    "Framing": FRAMING,
    "Heads": HEADS,
    "TLS": TLS_ENDING,
}
_INTRODUCTION = f"""\
# Faults of a provider

Written by `{VARIABLE}=1 .venv/bin/python -m pytest tests/faults`, which makes each of these happen to a call through a real
gateway; without the variable the same run fails when the page is not its table. Behind every fault a good call goes through the
same upstream and must get its own answer, and every call must leave exactly one receipt with this end.

"cut": the status has gone out, so the caller's connection ends before the body is complete, which every HTTP client reports as
an error. What the codes mean, and what to do, is in [errors.md](errors.md).

Beside this table answers framed by length, by chunks and by the close are cut at each of their bytes, by a close and by a reset;
over TLS within and between the records.

A body that the connection's close alone ends does not say that it is complete. Such a stream is `stream_interrupted` without its
dialect's end: a finish reason or `[DONE]` (OpenAI), a stop reason (Anthropic), a final status (Responses), a finish or block reason
(Gemini). A stream that stops within an event is, however it was framed. One that ends in order between two events is taken as the
provider's own end: `ok`, and `unmetered` where its usage did not come.
"""  # noqa: E501 - a page


def page() -> str:
    """Write the page."""
    return "\n".join([_INTRODUCTION, *_sections()])


def committed() -> str:
    """Return the page as it stands; where the environment says so, write it first."""
    if os.environ.get(VARIABLE):
        PAGE.write_text(page())
    return PAGE.read_text()


def _sections() -> Iterator[str]:
    for heading, rows in SECTIONS.items():
        yield f"## {heading}\n"
        yield "| fault | the caller gets | outcome | error type | unmetered |"
        yield "| --- | --- | --- | --- | --- |"
        yield from (f"| {row.what} | {_answer(row.end)} | {_end(row.end)} |" for row in rows)
        yield ""


def _answer(end: End) -> str:
    code = f" `{end.code}`" if end.code else ""
    retried = ", at the second try" if end.retries else ""
    return f"{end.status}{code}{', cut' if end.is_cut else ''}{retried}"


def _end(end: End) -> str:
    return f"`{end.outcome}` | {end.error_type or '-'} | {end.unmetered or '-'}"
