"""Speech that is asked for: on what terms, what it costs, and in which words it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from minitoolai.core.catalog import SpeechModel
from minitoolai.core.errors import InsufficientCredit, KeyLimitReached, MiniToolError
from minitoolai.core.ledger import Repeatable
from minitoolai.core.money import format_usd
from minitoolai.core.speech import SpeechRequest
from minitoolai.core.speech_errors import SpeechOverCap, SpeechOverKeyLimit, SpeechUnpaid

#: The ledger's refusals in the words of speech, whose cost is known to the character.
_IN_OUR_WORDS: Mapping[type[MiniToolError], type[MiniToolError]] = {
    InsufficientCredit: SpeechUnpaid,
    KeyLimitReached: SpeechOverKeyLimit,
}


@dataclass(frozen=True, slots=True)
class AskedSpeech:
    """Speech that is asked for, and on what terms."""

    model: str
    speech: SpeechRequest
    #: Characters of the text as it was sent, which are paid: of SSML more or fewer than of what is spoken.
    characters: int
    #: Who is told of the end of a job; of what is spoken at once nobody.
    webhook_url: str | None = None
    #: The most that the caller lets the call cost, in nano-dollars (`x-max-cost`); None: no cap.
    max_cost_nusd: int | None = None
    #: What makes the call the same as an earlier one (`Idempotency-Key`).
    repeatable: Repeatable | None = None

    def check_cap(self, model: SpeechModel) -> None:
        """Raise `SpeechOverCap` where it costs more than its caller allows."""
        cost, cap = model.cost_nusd(self.characters), self.max_cost_nusd
        if cap is not None and cost > cap:
            raise SpeechOverCap(param="x-max-cost", needed=format_usd(cost), cap=format_usd(cap))

    def characters_of(self, spoken: int) -> int:
        """Return how many of its characters are paid when so many of what is spoken were: all of them for all."""
        length = len(self.speech.text)
        return min(spoken, length) * self.characters // length


def in_our_words(refusal: MiniToolError) -> MiniToolError:
    """Return what the caller is told whom the ledger refused."""
    words = _IN_OUR_WORDS.get(type(refusal))
    return refusal if words is None else words(**refusal.facts)
