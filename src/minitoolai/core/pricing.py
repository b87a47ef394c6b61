"""Prices of tokens, and the two sums made from them: the largest cost of a call, and its actual cost."""

from __future__ import annotations

from dataclasses import dataclass

from minitoolai.core.inference import Usage
from minitoolai.core.money import PRICE_UNIT, charge_nusd


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """What a chat model costs."""

    #: Nano-dollars per million prompt tokens.
    input_nusd_per_1m: int
    #: Nano-dollars per million completion tokens.
    output_nusd_per_1m: int

    def cost_nusd(self, prompt_tokens: int, completion_tokens: int) -> int:
        """Return the charge for so many tokens, rounded once."""
        return charge_nusd(prompt_tokens * self.input_nusd_per_1m + completion_tokens * self.output_nusd_per_1m)

    def usage_cost_nusd(self, usage: Usage) -> int:
        """Return the charge for `usage`."""
        return self.cost_nusd(usage.prompt_tokens, usage.completion_tokens)

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
