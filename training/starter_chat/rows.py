"""Training rows: conversations as token ids in the chat form, marked where the model learns to speak."""

from dataclasses import dataclass

from training.starter_chat.talk import SYSTEM_TEXTS, Talk
from training.starter_chat.tokens import Encoder, TokenTable, learn

#: Exchanges that the tokens are learnt from.
TOKEN_SAMPLE = 15000
#: How often each system text counts beside them.
SYSTEM_WEIGHT = 50


@dataclass(frozen=True)
class Row:
    """Token ids and, for each, whether it is a token the model learns to say."""

    tokens: list[int]
    learnt: list[bool]


class RowMaker:
    """Fills rows of a given length from fresh conversations."""

    def __init__(self, seed: int, table: TokenTable) -> None:
        """Takes the seed of the conversations and the tokens to write them in."""
        self._talk = Talk(seed)
        self._encoder = Encoder(table)
        self._table = table
        self._end = [table.special("<|end|>")]

    def row(self, length: int) -> Row:
        """Gives the next row; its last answer may be cut."""
        tokens: list[int] = []
        learnt: list[bool] = []
        for turn in self._talk.conversation():
            said = self._encoder.encode(turn.text)
            if turn.role == "assistant":
                said = said + self._end
            tokens += [self._table.special(f"<|{turn.role}|>"), *said]
            learnt += [False, *(turn.learnt for _ in said)]
            if len(tokens) >= length:
                break
        return Row(tokens[:length], learnt[:length])


def learn_tokens(seed: int, size: int) -> TokenTable:
    """Learns the tokens from the generator's questions and answers and the system texts."""
    talk = Talk(seed)
    made = [talk.exchange() for _ in range(TOKEN_SAMPLE)]
    lines = [text for exchange in made for text in (exchange.question, exchange.answer)]
    lines += list(SYSTEM_TEXTS) * SYSTEM_WEIGHT
    return learn(lines, size)
