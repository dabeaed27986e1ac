"""Token counts as a provider reports them: the one shape that every dialect is read into."""

from typing import Annotated

import msgspec

# Readers of a receipt refuse what is outside: no sum may ever sink.
Tokens = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens of one call. `None` means that the provider did not say; it never means zero.

    `input_tokens` and `output_tokens` are totals; the other counts are parts of them, as the
    OpenTelemetry GenAI conventions define `gen_ai.usage.*` (cached tokens are part of the input,
    reasoning tokens are part of the output).
    """

    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    cache_read_tokens: Tokens | None = None
    cache_write_tokens: Tokens | None = None
    """All tokens written to a cache, of every lifetime."""
    cache_write_1h_tokens: Tokens | None = None
    """The part of `cache_write_tokens` that is kept for an hour (Anthropic `ephemeral_1h`)."""
    cache_write_5m_tokens: Tokens | None = None
    reasoning_tokens: Tokens | None = None
    input_audio_tokens: Tokens | None = None
    output_audio_tokens: Tokens | None = None
    cache_read_audio_tokens: Tokens | None = None
    input_image_tokens: Tokens | None = None
    output_image_tokens: Tokens | None = None
    input_text_tokens: Tokens | None = None
    output_text_tokens: Tokens | None = None
