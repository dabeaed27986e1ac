"""Whose prices: from a provider's OpenTelemetry name to its id in the price list. Pure data.

Only an exact name counts. A provider that is not here, and is no id of the list either, is not
guessed from the name of a model: another company may serve the same model at another price.
"""

from typing import Final

LIST_IDS: Final = {
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "aws.bedrock": "aws",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshotai",
    "x_ai": "x-ai",
    # Plain names, as operators and LiteLLM (https://docs.litellm.ai/docs/providers) write them.
    "azure_ai": "azure",
    "bedrock": "aws",
    "fireworks_ai": "fireworks",
    "gemini": "google",
    "moonshot": "moonshotai",
    "together_ai": "together",
    "vertex_ai": "google",
    "xai": "x-ai",
    "z.ai": "zai",
    "z_ai": "zai",
}
"""Names that are not spelled as the list's own ids; the others need no entry."""

PREFIXED: Final = "litellm"
"""A provider that resells: its model names begin with the provider's, as in `anthropic/...`."""

SHORT_ANSWERS: Final = frozenset({"x-ai"})
"""Where the answer may name less than what is billed: xAI answers `grok-3-mini` to the dearer
`grok-3-mini-fast` (https://docs.x.ai/docs/models), so the longer name of the two counts."""

TIERS_WITHOUT_SURCHARGE: Final = frozenset({("groq", "flex")})
"""(list id, service tier) pairs at the standard price: https://console.groq.com/docs/flex-processing"""
