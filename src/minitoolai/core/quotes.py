"""What a call would cost at most, line by line."""

from __future__ import annotations

from dataclasses import dataclass

from minitoolai.core.money import charge_nusd


@dataclass(frozen=True, slots=True)
class QuoteLine:
    """One part of a quote."""

    what: str
    count: int
    #: Nano-dollars per million; None: `cost_nusd` is for each.
    nusd_per_1m: int | None
    #: This part alone, in nano-dollars. The total is rounded once, so the lines may sum to one nano-dollar more.
    cost_nusd: int
    #: Nano-dollars a minute, where that is the price.
    nusd_per_minute: int | None = None

    @classmethod
    def of_tokens(cls, what: str, count: int, nusd_per_1m: int) -> QuoteLine:
        """Return the line for so many tokens at a price."""
        return cls(what, count, nusd_per_1m, charge_nusd(count * nusd_per_1m))


@dataclass(frozen=True, slots=True)
class Quote:
    """The most that a call may cost."""

    model: str
    max_cost_nusd: int
    #: Tokens of each choice at most; None: the model writes none.
    max_completion_tokens: int | None
    lines: tuple[QuoteLine, ...]
