"""Token counts as a provider reports them: the one shape that every dialect is read into."""

import msgspec


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens of one call. `None` means that the provider did not say; it never means zero.

    `input_tokens` and `output_tokens` are totals; the other counts are parts of them, as the
    OpenTelemetry GenAI conventions define `gen_ai.usage.*` (cached tokens are part of the input,
    reasoning tokens are part of the output).
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    """All tokens written to a cache, of every lifetime."""
    cache_write_1h_tokens: int | None = None
    """The part of `cache_write_tokens` that is kept for an hour (Anthropic `ephemeral_1h`)."""
    cache_write_5m_tokens: int | None = None
    reasoning_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    cache_read_audio_tokens: int | None = None
    input_image_tokens: int | None = None
    output_image_tokens: int | None = None
    input_text_tokens: int | None = None
    output_text_tokens: int | None = None
