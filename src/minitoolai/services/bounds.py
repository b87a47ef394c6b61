"""The most that a chat call may use and cost, before it runs."""

from __future__ import annotations

from minitoolai.core.catalog import ChatModel
from minitoolai.core.errors import ContextLengthExceeded, CostCapExceeded, InvalidValue
from minitoolai.core.inference import MIN_COMPLETION_TOKENS, ChatRequest
from minitoolai.core.money import format_usd
from minitoolai.core.tokens import count_prompt, prompt_tokens_bound, prompt_tokens_floor
from minitoolai.services.ports import ChatEngine


class Bounds:
    """The most that a call may use: prompt tokens from its bytes until they are counted, completion tokens asked."""

    def __init__(self, model: ChatModel, request: ChatRequest) -> None:
        self.model = model
        self.request = request
        self.prompt_tokens = prompt_tokens_bound(request.body_bytes)
        self.exact = False
        self._counted: int | None = None
        self._floor: int | None = None
        asked = request.max_completion_tokens
        if asked is not None and model.starter:
            asked = min(asked, model.max_completion_tokens)  # a demo stands in for models that write far more
        if asked is not None and asked > model.max_completion_tokens:
            raise InvalidValue(
                param="max_completion_tokens",
                why=f"the model '{model.id}' writes at most {model.max_completion_tokens} tokens, not {asked}.",
            )
        self.completion_tokens = asked or min(request.default_completion_tokens, model.max_completion_tokens)

    async def count_exactly(self, engine: ChatEngine) -> None:
        """Replace the bound by the engine's count. Raises `ContextLengthExceeded`."""
        counted = await engine.count_prompt(self.model, self.request)
        if self.model.o200k:
            self._counted = counted
        self.prompt_tokens = min(self.prompt_tokens, counted)
        self.exact = True
        if self.prompt_tokens > self.model.context_tokens:
            raise ContextLengthExceeded(
                param="messages",
                prompt_tokens=self.prompt_tokens,
                context_tokens=self.model.context_tokens,
                model=self.model.id,
            )

    async def check_cap(self, engine: ChatEngine) -> None:
        """Raise `CostCapExceeded` when the call may cost more than its caller allows."""
        cap = self.request.max_cost_nusd
        if cap is None:
            return
        if self.wanted_nusd() > cap and not self.exact:
            await self.count_exactly(engine)
        if self.wanted_nusd() > cap:
            raise CostCapExceeded(param="x-max-cost", needed=format_usd(self.wanted_nusd()), cap=format_usd(cap))

    def prompt_so_far(self) -> int:
        """Return the prompt's tokens where they were counted, else an estimate that is seldom above them."""
        if self._counted is not None or self.exact:
            return self._counted if self._counted is not None else self.prompt_tokens
        if self._floor is None:
            self._floor = prompt_tokens_floor(self.request.body)
        return self._floor

    def count_prompt(self) -> int:
        """Return the prompt's tokens in OpenAI's vocabulary: what a cut call is charged whose engine did not count."""
        if self._counted is None:
            self._counted = count_prompt(self.request.body)
        return self._counted

    def cost_nusd(self, completion_tokens: int) -> int:
        """Return the largest cost with so many completion tokens for each choice."""
        return self.model.prices.cost_nusd(self.prompt_tokens, completion_tokens * self.request.choices)

    def wanted_nusd(self) -> int:
        """Return the largest possible cost."""
        return self.cost_nusd(self.completion_tokens)

    def min_nusd(self) -> int:
        """Return the least to hold: all of it for a limit that the caller set, else enough for a short answer."""
        if self.request.max_completion_tokens is not None:
            return self.wanted_nusd()
        return self.cost_nusd(min(self.completion_tokens, MIN_COMPLETION_TOKENS))

    def affordable_tokens(self, granted_nusd: int) -> int:
        """Return the completion tokens for each choice that `granted_nusd` pays for."""
        if granted_nusd >= self.wanted_nusd():
            return self.completion_tokens
        paid = self.model.prices.affordable_completion_tokens(self.prompt_tokens, granted_nusd)
        return max(1, min(self.completion_tokens, paid // self.request.choices))
