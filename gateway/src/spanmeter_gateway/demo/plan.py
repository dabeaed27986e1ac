"""What a pretend answer will be: its words, counts and pace. Pure, given a random source."""

import random
from dataclasses import dataclass

_SENTENCES = """\
the parcel left our house this morning and should reach you within three days so please
check the label and the colour of the lamp before you write to us again since a refund
takes one week while the larger size is back in stock from Monday"""
_WORDS = tuple(_SENTENCES.split())
_BYTES_PER_TOKEN = 4
"""English text with a common tokenizer, roughly."""
_CACHED_FROM_TOKENS = 1024
_CACHE_STEP_TOKENS = 128
"""OpenAI caches prompts of 1024 tokens and more, in steps of 128
(platform.openai.com/docs/guides/prompt-caching)."""
_REASONING_MODELS = ("o1", "o3", "o4", "gpt-5")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One answer. `output_tokens` includes the reasoning."""

    serial: int
    model: str
    words: tuple[str, ...]
    input_tokens: int
    cached_tokens: int
    written_tokens: int
    """Written to a cache that the request asked for (Anthropic)."""
    output_tokens: int
    reasoning_tokens: int
    first_wait_s: float
    word_wait_s: float

    @property
    def text(self) -> str:
        """The whole answer."""
        return " ".join(self.words)

    @property
    def pieces(self) -> list[str]:
        """The answer as it is streamed."""
        return [word if place == 0 else f" {word}" for place, word in enumerate(self.words)]


def plan(
    serial: int, model: str, chance: random.Random, *, body_bytes: int, max_tokens: int | None
) -> Plan:
    """Make up an answer to a request of this size."""
    input_tokens = max(8, body_bytes // _BYTES_PER_TOKEN)
    is_cached = input_tokens >= _CACHED_FROM_TOKENS and chance.random() < 0.7
    cached = input_tokens * 3 // 4 // _CACHE_STEP_TOKENS * _CACHE_STEP_TOKENS if is_cached else 0
    words = chance.choices(_WORDS, k=chance.randint(6, 30))
    visible = min(len(words) * chance.randint(1, 12), max_tokens or 4096)
    reasoning = chance.randint(1, 12) * 64 if model.startswith(_REASONING_MODELS) else 0
    return Plan(
        serial=serial,
        model=model,
        words=tuple(words),
        input_tokens=input_tokens,
        cached_tokens=cached,
        written_tokens=0 if cached or input_tokens < _CACHED_FROM_TOKENS else input_tokens // 2,
        output_tokens=visible + reasoning,
        reasoning_tokens=reasoning,
        first_wait_s=chance.uniform(0.08, 0.4) + reasoning / 1000,
        word_wait_s=chance.uniform(0.01, 0.03),
    )
