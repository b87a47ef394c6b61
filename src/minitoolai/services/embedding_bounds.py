"""The most that a call for embeddings may use and cost, before it runs."""

from __future__ import annotations

from minitoolai.core.catalog import EmbeddingModel
from minitoolai.core.embeddings import EmbeddingRequest
from minitoolai.core.errors import InvalidValue, TextTooLong
from minitoolai.core.tokens import CL100K, O200K, TOKENS_AROUND_TEXT, count_text
from minitoolai.services.bound import Bound
from minitoolai.services.ports import EmbeddingEngine

#: Numbers of all vectors of a reply that is kept for callers who repeat their call: 5 MB as base64, 10 to 25 MB as text,
#: which the database stores for 24 h and sends again at once.
MAX_KEPT_NUMBERS = 1_000_000
#: Numbers of a vector of a model that does not say: more than any common one has.
ASSUMED_DIMENSIONS = 8192


class EmbeddingBounds(Bound[EmbeddingEngine]):
    """The most that a call may use: of a text its bytes, until they are counted; tokens are what they are."""

    def __init__(self, model: EmbeddingModel, request: EmbeddingRequest) -> None:
        """Raises `TextTooLong` for too many tokens, `InvalidValue` for a reply too large to be kept."""
        self.model = model
        self.request = request
        # One byte is one token at most in OpenAI's vocabularies; other models put some of their own around a text.
        around = 0 if model.cl100k else TOKENS_AROUND_TEXT
        self._each = [len(text) if isinstance(text, list) else len(text.encode()) + around for text in request.inputs]
        self.closest = all(isinstance(text, list) for text in request.inputs)
        self._counted_here: int | None = None
        self._check_length(range(len(self._each)), exact=self.closest)
        self._check_kept()

    @property
    def tokens(self) -> int:
        """Tokens of all texts, at most."""
        return sum(self._each)

    @property
    def doubtful(self) -> bool:
        """Whether a text may be longer than the model can embed."""
        return not self.closest and max(self._each) > self.model.context_tokens

    async def count_exactly(self, engine: EmbeddingEngine) -> None:
        """Replace the bounds by the engine's counts, where it knows the model's vocabulary. Raises `TextTooLong`."""
        texts = [(index, text) for index, text in enumerate(self.request.inputs) if isinstance(text, str)]
        counts = await engine.count_tokens(self.model, [text for _, text in texts])
        self.closest = True
        if counts is None:
            return
        for (index, _), count in zip(texts, counts, strict=True):
            self._each[index] = min(self._each[index], count)
        self._check_length([index for index, _ in texts], exact=True)

    def wanted_nusd(self) -> int:
        """Return the largest possible cost."""
        return self.model.prices.cost_nusd(self.tokens, 0)

    def count_here(self) -> int:
        """Return the tokens of all texts by OpenAI's vocabularies: what a call is charged whose engine did not count."""
        if self._counted_here is None:
            vocabulary = CL100K if self.model.cl100k else O200K
            each = (len(text) if isinstance(text, list) else count_text(text, vocabulary) for text in self.request.inputs)
            self._counted_here = sum(each)
        return self._counted_here

    def _check_length(self, indexes: range | list[int], *, exact: bool) -> None:
        most = self.model.context_tokens
        for index in indexes if exact else [i for i in indexes if isinstance(self.request.inputs[i], list)]:
            if self._each[index] > most:
                raise TextTooLong(
                    param=self.request.param(index),
                    prompt_tokens=self._each[index],
                    context_tokens=most,
                    model=self.model.id,
                )

    def _check_kept(self) -> None:
        dimensions = self.request.dimensions or self.model.dimensions or ASSUMED_DIMENSIONS
        if self.request.repeatable is not None and len(self._each) * dimensions > MAX_KEPT_NUMBERS:
            raise InvalidValue(
                param="idempotency-key",
                why=f"a reply that can be repeated holds {MAX_KEPT_NUMBERS:,} numbers at most, which are "
                f"{MAX_KEPT_NUMBERS // dimensions} vectors of this model. Send fewer texts, or no Idempotency-Key.",
            )
