"""Where the price list differs from what a provider publishes: each correction with its source.

Pure data, keyed by the list's own provider and model ids. A correction names the value that it
replaces (`None`: the list has none), so it lapses by itself once the list says something else;
a test tells which corrections still have a subject.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, NamedTuple


class Tiered(NamedTuple):
    """A price that becomes another for the whole call when its input exceeds `above` tokens."""

    base: Decimal
    above: int
    price: Decimal


class Correction(NamedTuple):
    """The value that the list has, and the right one; per million tokens or thousand calls."""

    listed: Decimal | None
    right: Decimal | Tiered


def _added(**prices: str) -> Mapping[str, Correction]:
    return {name: Correction(None, Decimal(price)) for name, price in prices.items()}


def _long_context(**prices: tuple[str, str]) -> Mapping[str, Correction]:
    return {
        name: Correction(Decimal(base), Tiered(Decimal(base), 200_000, Decimal(above)))
        for name, (base, above) in prices.items()
    }


# The list takes the highest fee of a range. The fee depends on `search_context_size`, which a
# receipt does not hold, and whose documented default is `low`:
# https://docs.perplexity.ai/guides/search-context-size-guide (default),
# https://docs.perplexity.ai/docs/getting-started/pricing (fees for low, medium, high).
_SONAR = {"requests_kcount": Correction(Decimal(12), Decimal(5))}
_SONAR_PRO = {"requests_kcount": Correction(Decimal(14), Decimal(6))}

CORRECTIONS: Final[Mapping[tuple[str, str], Mapping[str, Correction]]] = {
    # Audio tokens are 16 (mini: 66) times the price of text, and missing from the list.
    # https://platform.openai.com/docs/models/gpt-4o-audio-preview and
    # https://platform.openai.com/docs/models/gpt-4o-mini-audio-preview
    ("openai", "gpt-4o-audio-preview"): _added(input_audio_mtok="40", output_audio_mtok="80"),
    ("openai", "gpt-4o-mini-audio-preview"): _added(input_audio_mtok="10", output_audio_mtok="20"),
    # Prompts of more than 200,000 tokens cost more on Sonnet 4 as on Sonnet 4.5; the multipliers
    # of cache reads and writes apply on top. https://docs.anthropic.com/en/docs/about-claude/pricing
    ("anthropic", "claude-sonnet-4-0"): _long_context(
        input_mtok=("3", "6"),
        cache_read_mtok=("0.3", "0.6"),
        cache_write_mtok=("3.75", "7.5"),
        cache_write_1h_mtok=("6", "12"),
        output_mtok=("15", "22.5"),
    ),
    # Free of charge, where the list has an empty price. https://ai.google.dev/gemini-api/docs/pricing
    ("google", "gemma-3"): _added(input_mtok="0", output_mtok="0"),
    ("google", "gemma-3n"): _added(input_mtok="0", output_mtok="0"),
    ("perplexity", "sonar"): _SONAR,
    ("perplexity", "sonar-reasoning"): _SONAR,
    ("perplexity", "sonar-pro"): _SONAR_PRO,
    ("perplexity", "sonar-reasoning-pro"): _SONAR_PRO,
}

UNLISTED: Final = frozenset(
    {
        # The list prices this alias as Mistral Large 2 (2 / 6 USD), which was retired on
        # 2026-05-31; what it names now costs a third or less, and depends on the day:
        # https://docs.mistral.ai/getting-started/models/
        ("mistral", "mistral-large-latest"),
        # Every call searches, and owes for searches and citation tokens, which a receipt does not
        # hold: https://docs.perplexity.ai/docs/getting-started/pricing
        ("perplexity", "sonar-deep-research"),
    }
)
"""(provider, model name) pairs that are not priced although the list matches them."""

NO_FALLBACK: Final = frozenset(
    {
        # DeepSeek's own prices change with the time of day; Azure sells the models at prices of
        # its own: https://azure.microsoft.com/pricing/details/ai-foundry-models/deepseek/
        ("azure", "deepseek"),
    }
)
"""(provider, provider whose prices the list would borrow) pairs that are not followed."""

WEEKDAY_PEAKS: Final = frozenset(
    {
        ("deepseek", "deepseek-flash"),
        ("deepseek", "deepseek-v4-flash"),
        ("deepseek", "deepseek-v4-pro"),
    }
)
"""Models whose peak hours exist from Monday to Friday only; the list has them on every day.

Since 2026-08-23: https://api-docs.deepseek.com/quick_start/pricing. Chinese public holidays, which
have no peak either, are not known here: peak prices of those days are twice what is billed.
"""
