"""Token usage as OpenAI counts it, and as the many that speak its dialects vary it.

https://platform.openai.com/docs/api-reference/chat/object and .../responses/object. Chat says
`prompt_tokens` and `completion_tokens`, Responses `input_tokens` and `output_tokens`. The shape
decides, never the provider's name.
"""

from spanmeter.dialects.json_values import count, counts, total, usd
from spanmeter.dialects.shapes.openai_usage import Cost, CostDetails, Counts, Details
from spanmeter.usage import Usage

_NO_DETAILS = Details()


def usage_of(said: Counts) -> Usage | None:
    """Return the usage; `None` when neither total is known."""
    of_input = said.prompt_tokens_details or said.input_tokens_details
    if not isinstance(of_input, Details):
        of_input = _NO_DETAILS
    of_output = said.completion_tokens_details or said.output_tokens_details
    if not isinstance(of_output, Details):
        of_output = _NO_DETAILS
    (
        prompt, completion, inputs, outputs, whole, reasoning_beside,
        read, written, input_text, input_audio, input_image,
        reasoning, output_text, output_audio, output_image,
    ) = counts(
        said.prompt_tokens, said.completion_tokens, said.input_tokens, said.output_tokens,
        said.total_tokens, said.reasoning_tokens,
        of_input.cached_tokens, of_input.cache_write_tokens, of_input.text_tokens,
        of_input.audio_tokens, of_input.image_tokens,
        of_output.reasoning_tokens, of_output.text_tokens, of_output.audio_tokens,
        of_output.image_tokens,
    )  # fmt: skip
    input_tokens = inputs if prompt is None else prompt
    output_tokens = outputs if completion is None else completion
    if input_tokens is None and output_tokens is None:
        return None
    reasoning = reasoning_beside if reasoning is None else reasoning
    if reasoning and _adds_up(whole, input_tokens, output_tokens, reasoning):
        # xAI's chat counts reasoning beside `completion_tokens`; its total gives that away.
        output_tokens = total(output_tokens, reasoning)
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_tokens=_read_beside(said) if read is None else read,
        cache_write_tokens=count(said.cache_creation_input_tokens) if written is None else written,
        reasoning_tokens=reasoning,
        input_audio_tokens=input_audio,
        output_audio_tokens=output_audio,
        input_image_tokens=input_image,
        output_image_tokens=output_image,
        input_text_tokens=input_text,
        output_text_tokens=output_text,
    )


def reported_cost_usd(said: Counts) -> str | None:
    """Return the provider's own figure."""
    cost = said.cost
    return usd(cost.total_cost if isinstance(cost, Cost) else cost)


def upstream_cost_usd(said: Counts) -> str | None:
    """Return what a second party is owed: only with the caller's own key, else it is no extra."""
    details = said.cost_details
    if said.is_byok is not True or not isinstance(details, CostDetails):
        return None
    return usd(details.upstream_inference_cost)


def _adds_up(whole: int | None, *parts: int | None) -> bool:
    return None not in parts and whole == total(*parts)


def _read_beside(said: Counts) -> int | None:
    hit, cached = counts(said.prompt_cache_hit_tokens, said.cached_tokens)
    return cached if hit is None else hit
