"""A `usage` object of OpenAI's APIs, with what the many that speak them add.

https://platform.openai.com/docs/api-reference/chat/object and .../responses/object.
"""

from typing import Any

import msgspec

from spanmeter.dialects.json_values import Scalar


class Details(msgspec.Struct, gc=False):
    """The parts of the input or of the output."""

    cached_tokens: Any = None
    cache_write_tokens: Any = None
    reasoning_tokens: Any = None
    text_tokens: Any = None
    audio_tokens: Any = None
    image_tokens: Any = None


class CostDetails(msgspec.Struct, gc=False):
    """OpenRouter: https://openrouter.ai/docs/use-cases/usage-accounting."""

    upstream_inference_cost: Any = None


class Cost(msgspec.Struct, gc=False):
    """Perplexity sends an object where OpenRouter sends a number."""

    total_cost: Any = None


AnyDetails = Details | Scalar | list[Any]


class Counts(msgspec.Struct, gc=False):
    """A `usage` object."""

    prompt_tokens: Any = None
    completion_tokens: Any = None
    total_tokens: Any = None
    prompt_tokens_details: AnyDetails = None
    completion_tokens_details: AnyDetails = None
    input_tokens: Any = None
    output_tokens: Any = None
    input_tokens_details: AnyDetails = None
    output_tokens_details: AnyDetails = None
    prompt_cache_hit_tokens: Any = None
    """DeepSeek: https://api-docs.deepseek.com/guides/kv_cache."""
    cached_tokens: Any = None
    """Moonshot: beside the totals, not in the details."""
    cache_creation_input_tokens: Any = None
    """LiteLLM in front of Anthropic keeps Anthropic's member."""
    reasoning_tokens: Any = None
    """Perplexity: beside the totals, not in the details."""
    cost: Cost | Scalar | list[Any] = None
    cost_details: CostDetails | Scalar | list[Any] = None
    is_byok: Any = None


AnyCounts = Counts | Scalar | list[Any]
