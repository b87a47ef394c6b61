"""Prices of tokens, and the two sums made from them: the largest cost of a call, and its actual cost."""

from __future__ import annotations

from dataclasses import dataclass

from minitoolai.core.inference import Usage
from minitoolai.core.money import PRICE_UNIT, charge_nusd


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """What a model's tokens cost, in nano-dollars per million."""

    input_nusd_per_1m: int
    output_nusd_per_1m: int
    #: For prompt tokens that the engine had cached; None: the same as for others.
    cached_nusd_per_1m: int | None = None

    @property
    def cached_input_nusd_per_1m(self) -> int:
        """The price of a prompt token that the engine had cached."""
        return self.input_nusd_per_1m if self.cached_nusd_per_1m is None else self.cached_nusd_per_1m

    def cost_nusd(self, prompt_tokens: int, completion_tokens: int) -> int:
        """Return the charge for so many tokens, none of them cached, rounded once."""
        return charge_nusd(prompt_tokens * self.input_nusd_per_1m + completion_tokens * self.output_nusd_per_1m)

    def usage_cost_nusd(self, usage: Usage) -> int:
        """Return the charge for `usage`, rounded once. Reasoning tokens are completion tokens."""
        priced = usage.prompt_tokens * self.input_nusd_per_1m + usage.completion_tokens * self.output_nusd_per_1m
        if usage.cached_tokens and self.cached_nusd_per_1m is not None:
            priced -= usage.cached_tokens * (self.input_nusd_per_1m - self.cached_nusd_per_1m)
        return charge_nusd(priced)

    def affordable_completion_tokens(self, prompt_tokens: int, amount_nusd: int) -> int:
        """Return how many completion tokens `amount_nusd` pays for after `prompt_tokens`; 0 where none.

        The answer is exact: its cost is at most `amount_nusd`, and one token more would cost more (or the output
        is free, then the answer is the amount's own size in tokens, which no limit of a model reaches).
        """
        # charge = floor((2·sum + unit) / (2·unit)) ≤ amount  ⇔  2·sum + unit ≤ 2·unit·amount + 2·unit − 1
        room = (2 * PRICE_UNIT * amount_nusd + PRICE_UNIT - 1) // 2 - prompt_tokens * self.input_nusd_per_1m
        if room < 0:
            return 0
        if self.output_nusd_per_1m == 0:
            return 2**31 - 1
        return room // self.output_nusd_per_1m

    def dearest(self, other: TokenPrices) -> TokenPrices:
        """Return the higher of each of two prices: what a call is held at that may be served at either."""
        return TokenPrices(
            max(self.input_nusd_per_1m, other.input_nusd_per_1m),
            max(self.output_nusd_per_1m, other.output_nusd_per_1m),
        )
