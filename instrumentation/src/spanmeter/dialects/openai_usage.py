"""Token usage as OpenAI counts it, and as the many that speak its dialects vary it.

https://platform.openai.com/docs/api-reference/chat/object and .../responses/object. Chat says
`prompt_tokens` and `completion_tokens`, Responses `input_tokens` and `output_tokens`. The shape
decides, never the provider's name.
"""

from typing import Any

import msgspec

from spanmeter.dialects.json_values import Scalar, count, total, usd
from spanmeter.usage import Usage


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
_NO_DETAILS = Details()


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
    service_tier: Any = None


AnyCounts = Counts | Scalar | list[Any]


def usage_of(counts: Counts) -> Usage | None:
    """Return the usage; `None` when neither total is known."""
    input_tokens = _either(counts.prompt_tokens, counts.input_tokens)
    output_tokens = _either(counts.completion_tokens, counts.output_tokens)
    if input_tokens is None and output_tokens is None:
        return None
    inputs = _details(counts.prompt_tokens_details, counts.input_tokens_details)
    outputs = _details(counts.completion_tokens_details, counts.output_tokens_details)
    reasoning_tokens = _either(outputs.reasoning_tokens, counts.reasoning_tokens)
    if reasoning_tokens and _adds_up(
        counts.total_tokens, input_tokens, output_tokens, reasoning_tokens
    ):  # xAI's chat counts reasoning beside `completion_tokens`; its total gives that away
        output_tokens = total(output_tokens, reasoning_tokens)
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_tokens=_first(
            inputs.cached_tokens, counts.prompt_cache_hit_tokens, counts.cached_tokens
        ),
        cache_write_tokens=_either(inputs.cache_write_tokens, counts.cache_creation_input_tokens),
        reasoning_tokens=reasoning_tokens,
        input_audio_tokens=count(inputs.audio_tokens),
        output_audio_tokens=count(outputs.audio_tokens),
        input_image_tokens=count(inputs.image_tokens),
        output_image_tokens=count(outputs.image_tokens),
        input_text_tokens=count(inputs.text_tokens),
        output_text_tokens=count(outputs.text_tokens),
    )


def reported_cost_usd(counts: Counts) -> str | None:
    """Return the provider's own figure."""
    cost = counts.cost
    return usd(cost.total_cost if isinstance(cost, Cost) else cost)


def upstream_cost_usd(counts: Counts) -> str | None:
    """Return what a second party is owed: only with the caller's own key, else it is no extra."""
    details = counts.cost_details
    if counts.is_byok is not True or not isinstance(details, CostDetails):
        return None
    return usd(details.upstream_inference_cost)


def _adds_up(whole: Any, *parts: int | None) -> bool:
    return None not in parts and count(whole) == total(*parts)


def _details(chat: AnyDetails, responses: AnyDetails) -> Details:
    if isinstance(chat, Details):
        return chat
    return responses if isinstance(responses, Details) else _NO_DETAILS


def _either(first: Any, second: Any) -> int | None:
    known = count(first)
    return known if known is not None else count(second)


def _first(*values: Any) -> int | None:
    return next((known for value in values if (known := count(value)) is not None), None)
