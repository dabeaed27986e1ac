"""Recognise the dialect of a call by the end of its path, so that any prefix may stand before it.

Asked for every call: one look into a table decides.
"""

from dataclasses import replace

from spanmeter.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from spanmeter.dialects.dialect import Dialect
from spanmeter.dialects.gemini_generate import GEMINI_EMBEDDINGS, GEMINI_GENERATE, STREAM_METHOD
from spanmeter.dialects.openai_chat import OPENAI_CHAT, OPENAI_COMPLETIONS
from spanmeter.dialects.openai_embeddings import OPENAI_EMBEDDINGS
from spanmeter.dialects.openai_responses import OPENAI_RESPONSES

DIALECTS = (
    OPENAI_CHAT,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
    OPENAI_RESPONSES,
    ANTHROPIC_MESSAGES,
    GEMINI_GENERATE,
    GEMINI_EMBEDDINGS,
)

_CHAT = "chat/completions"
_BY_ENDING = {
    _CHAT: OPENAI_CHAT,
    "completions": OPENAI_COMPLETIONS,
    "embeddings": OPENAI_EMBEDDINGS,
    "responses": OPENAI_RESPONSES,
    "messages": ANTHROPIC_MESSAGES,
}
_BY_METHOD = {
    "generateContent": GEMINI_GENERATE,
    STREAM_METHOD: GEMINI_GENERATE,
    "embedContent": GEMINI_EMBEDDINGS,
    "batchEmbedContents": GEMINI_EMBEDDINGS,
}
_GEMINI_MODEL = "/v1beta/models/{model}:"
_VERTEX_MODEL = "/v1/projects/{project}/locations/{location}/publishers/{publisher}/models/{model}:"

_AZURE_BY_ENDING = {
    ending: replace(dialect, route="/openai/deployments/{deployment}/" + ending)
    for ending, dialect in _BY_ENDING.items()
}
_GEMINI_BY_METHOD = {
    method: replace(dialect, route=_GEMINI_MODEL + method) for method, dialect in _BY_METHOD.items()
}
_VERTEX_BY_METHOD = {
    method: replace(dialect, route=_VERTEX_MODEL + method) for method, dialect in _BY_METHOD.items()
}


def recognise(method: str, path: str) -> Dialect | None:
    """Return the dialect of a call, or `None` when it is not metered; `path` has no query.

    Doubled slashes are tolerated, as Azure's SDKs send them.
    """
    if method != "POST":
        return None
    parent, _, ending = path.rstrip("/").rpartition("/")
    if ending in _BY_ENDING:
        return _openai_or_anthropic(parent.rstrip("/"), ending)
    _, colon, called = ending.replace("%3A", ":").replace("%3a", ":").rpartition(":")
    if not colon:
        return None
    return (_VERTEX_BY_METHOD if "/locations/" in parent else _GEMINI_BY_METHOD).get(called)


def _openai_or_anthropic(parent: str, ending: str) -> Dialect | None:
    if ending == "completions" and parent.endswith("/chat"):
        ending = _CHAT
    elif ending == "messages" and "/threads/" in parent:
        return None  # OpenAI's Assistants API: a message is stored, no model is called
    return (_AZURE_BY_ENDING if "/deployments/" in parent else _BY_ENDING)[ending]
