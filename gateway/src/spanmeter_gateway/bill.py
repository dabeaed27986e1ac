"""The bill of one call: disjoint token classes and what each cost, in integer nano-dollars."""

from typing import Literal, NamedTuple

import msgspec

TokenClass = Literal["input", "cache_read", "cache_write", "output", "reasoning", "total"]
TOKEN_CLASSES: tuple[TokenClass, ...] = (
    "input", "cache_read", "cache_write", "output", "reasoning", "total",
)  # fmt: skip
"""Disjoint: `input` is the uncached input and `output` the visible output, so classes add up.
`total` holds no tokens: the cost where a provider reports one sum for the whole call, or a fee that
a provider charges per call beside its tokens."""

CostSource = Literal["local", "provider"]
"""`local`: computed here from a price list; `provider`: the figure came with the answer."""


class ClassAmount(NamedTuple):
    """An amount of one token class: tokens, or nano-dollars (1 USD = 1,000,000,000)."""

    token_class: TokenClass
    amount: int


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """What a call used and what that cost. `cost_nanos` is `None` when no price is known."""

    tokens: tuple[ClassAmount, ...] = ()
    """Empty when the usage is unknown."""
    cost_nanos: tuple[ClassAmount, ...] | None = None
    source: CostSource | None = None
    price_version: str | None = None
    """Which prices: `genai-prices <version>`, `config`, or `None` for a provider's own figure."""
    unpriced: str | None = None
    """Why `cost_nanos` is `None` although some usage is known: `unknown_model`, `unknown_provider`,
    `unknown_tier` (a service tier without a known price), `no_token_price` (not sold by the token),
    `incomplete_usage` (input or output unknown)."""

    @property
    def total_nanos(self) -> int | None:
        """The cost of the call, or `None` when it is not known."""
        if self.cost_nanos is None:
            return None
        return sum(amount for _, amount in self.cost_nanos)
