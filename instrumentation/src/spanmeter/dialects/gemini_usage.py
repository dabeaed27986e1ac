"""Token usage as Gemini counts it: https://ai.google.dev/api/generate-content#UsageMetadata.

Thinking stands beside the candidates, and the results of tools that were fed back stand beside the
prompt; both are billed, so both are added.
"""

from typing import Any

from spanmeter.dialects.json_values import count, total
from spanmeter.usage import Usage

_MODALITIES = {1: "TEXT", 2: "IMAGE", 4: "AUDIO"}
"""Vertex sends enums as integers when asked:
https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rpc/google.cloud.aiplatform.v1#modality"""


def usage_of(counts: dict[str, Any]) -> Usage | None:
    """Return the usage of a `usageMetadata`; `None` when neither total is known."""
    prompt_tokens = count(counts.get("promptTokenCount"))
    thoughts_tokens = count(counts.get("thoughtsTokenCount"))
    output_tokens = total(count(counts.get("candidatesTokenCount")), thoughts_tokens)
    if prompt_tokens is None and output_tokens is None:
        return None
    tool_tokens = count(counts.get("toolUsePromptTokenCount"))
    inputs = _by_modality(counts, "promptTokensDetails", "toolUsePromptTokensDetails")
    outputs = _by_modality(counts, "candidatesTokensDetails")
    return Usage(
        input_tokens=None if prompt_tokens is None else total(prompt_tokens, tool_tokens),
        output_tokens=output_tokens,
        cache_read_tokens=count(counts.get("cachedContentTokenCount")),
        reasoning_tokens=thoughts_tokens,
        input_audio_tokens=inputs.get("AUDIO"),
        output_audio_tokens=outputs.get("AUDIO"),
        cache_read_audio_tokens=_by_modality(counts, "cacheTokensDetails").get("AUDIO"),
        input_image_tokens=inputs.get("IMAGE"),
        output_image_tokens=outputs.get("IMAGE"),
        input_text_tokens=inputs.get("TEXT"),
        output_text_tokens=outputs.get("TEXT"),
    )


def _by_modality(counts: dict[str, Any], *members: str) -> dict[str, int]:
    tokens_by_modality: dict[str, int] = {}
    for name in members:
        details = counts.get(name)
        for detail in details if isinstance(details, list) else ():
            modality, tokens = _detail(detail)
            if modality is not None and tokens is not None:
                tokens_by_modality[modality] = tokens_by_modality.get(modality, 0) + tokens
    return tokens_by_modality


def _detail(detail: Any) -> tuple[str | None, int | None]:
    if not isinstance(detail, dict):
        return None, None
    modality = detail.get("modality")
    if type(modality) is int:
        modality = _MODALITIES.get(modality)
    return modality if isinstance(modality, str) else None, count(detail.get("tokenCount"))
