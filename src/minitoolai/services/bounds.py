"""The most that a chat call may use and cost, before it runs."""

from __future__ import annotations

import msgspec

from minitoolai.core.catalog import ChatModel
from minitoolai.core.errors import ContextLengthExceeded, InvalidValue
from minitoolai.core.image_urls import without_images
from minitoolai.core.inference import MIN_COMPLETION_TOKENS, PRICED_FIELDS, ChatRequest, Usage
from minitoolai.core.pricing import TokenPrices
from minitoolai.core.tokens import count_prompt, prompt_tokens_bound, prompt_tokens_floor
from minitoolai.services.bound import Bound
from minitoolai.services.image_bounds import ImageTokens, count_images
from minitoolai.services.ports import ChatEngine

_encode = msgspec.json.Encoder().encode


class Bounds(Bound[ChatEngine]):
    """The most that a call may use: prompt tokens from its bytes until they are counted, completion tokens asked."""

    def __init__(self, model: ChatModel, request: ChatRequest) -> None:
        """Raises `InvalidValue` for what the model does not take: pictures, priced fields, too long an answer."""
        self.model = model
        self.request = request
        _check_fields(model, request)
        #: What the call is held at: the dearest that it may be served at.
        self.held_prices = model.prices.dearest(model.prices_at(request.tier)) if request.tier else model.prices
        #: What it costs beside its tokens, in nano-dollars.
        self.fees_nusd = 0
        if request.body.get("web_search_options") is not None:
            self.fees_nusd = model.web_search_nusd or 0
        self._images = ImageTokens(0, 0)
        if request.images and model.image_rule is not None:
            self._images = count_images(model.image_rule, request.images)
        self.prompt_tokens = prompt_tokens_bound(request.body_bytes) + self._images.most
        #: Whether the bound is a count.
        self.exact = False
        self.closest = False
        self._counted: int | None = None
        self._floor: int | None = None
        self.completion_tokens = self._completion_tokens()

    @property
    def image_tokens(self) -> int:
        """What the call's pictures are at most; part of `prompt_tokens`."""
        return self._images.most

    def _completion_tokens(self) -> int:
        model, asked = self.model, self.request.max_completion_tokens
        if asked is not None and model.starter:
            asked = min(asked, model.max_completion_tokens)  # a demo stands in for models that write far more
        if asked is not None and asked > model.max_completion_tokens:
            raise InvalidValue(
                param="max_completion_tokens",
                why=f"the model '{model.id}' writes at most {model.max_completion_tokens} tokens, not {asked}.",
            )
        return asked or min(self.request.default_completion_tokens, model.max_completion_tokens)

    async def count(self, engine: ChatEngine) -> int:
        """Return the prompt's tokens as `engine` counts or estimates them, pictures by their rule."""
        return await engine.count_prompt(self.model, self.request) + self._images.most

    async def count_exactly(self, engine: ChatEngine) -> None:
        """Replace the bound by the count, where it is of the model's own vocabulary. Raises `ContextLengthExceeded`.

        Of other vocabularies only the bytes are a bound, in UTF-8 and without JSON's escapes: the same text can be fifty
        times as many tokens there.
        """
        self.closest = True
        if not (self.model.o200k or engine.knows_vocabulary):
            size = len(_encode(without_images(self.request.body)))
            self.prompt_tokens = min(self.prompt_tokens, prompt_tokens_bound(size) + self._images.most)
            return
        counted = await self.count(engine)
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

    def prompt_so_far(self) -> int:
        """Return the prompt's tokens where they were counted, else an estimate that is seldom above them."""
        if self._counted is not None or self.exact:
            return self._counted if self._counted is not None else self.prompt_tokens
        if self._floor is None:
            self._floor = prompt_tokens_floor(self.request.body) + self._images.known
        return self._floor

    def count_prompt(self) -> int:
        """Return the prompt's tokens in OpenAI's vocabulary: what a cut call is charged whose engine did not count."""
        if self._counted is None:
            self._counted = count_prompt(self.request.body) + self._images.most
        return self._counted

    def prices(self, tier: str | None) -> TokenPrices:
        """Return what the call is charged at that was served at `tier`: another one only where it was asked for."""
        return self.model.prices_at(tier) if tier == self.request.tier else self.model.prices

    def charge_nusd(self, usage: Usage) -> int:
        """Return the call's charge for `usage`."""
        return self.prices(usage.tier).usage_cost_nusd(usage) + self.fees_nusd

    def cost_nusd(self, completion_tokens: int) -> int:
        """Return the largest cost with so many completion tokens for each choice."""
        return self.held_prices.cost_nusd(self.prompt_tokens, completion_tokens * self.request.choices) + self.fees_nusd

    def wanted_nusd(self) -> int:
        """Return the largest possible cost."""
        return self.cost_nusd(self.completion_tokens)

    def min_nusd(self) -> int:
        """Return the least to hold: all of it for a limit that the caller set, else enough for a short answer."""
        return self.cost_nusd(self._least_completion())

    def wanted_tokens(self) -> int:
        """Return the most tokens that the call may use."""
        return self.prompt_tokens + self.completion_tokens * self.request.choices

    def min_tokens(self) -> int:
        """Return the least tokens to count against the key's minute, as `min_nusd`."""
        return self.prompt_tokens + self._least_completion() * self.request.choices

    def _least_completion(self) -> int:
        if self.request.max_completion_tokens is not None:
            return self.completion_tokens
        return min(self.completion_tokens, MIN_COMPLETION_TOKENS)

    def affordable_tokens(self, granted_nusd: int, granted_tokens: int) -> int:
        """Return the completion tokens for each choice that the hold pays for and the key's minute allows."""
        allowed = self.completion_tokens
        if granted_nusd < self.wanted_nusd():
            paid = self.held_prices.affordable_completion_tokens(self.prompt_tokens, granted_nusd - self.fees_nusd)
            allowed = min(allowed, paid // self.request.choices)
        if granted_tokens < self.wanted_tokens():
            allowed = min(allowed, (granted_tokens - self.prompt_tokens) // self.request.choices)
        return max(1, allowed)


def _check_fields(model: ChatModel, request: ChatRequest) -> None:
    """Raise `InvalidValue` for pictures that the model cannot see, and fields that it has no price for."""
    if request.images and not model.vision:
        who = "the starter model" if model.starter else f"the model '{model.id}'"
        raise InvalidValue(
            param=request.images[0].param.removesuffix(".image_url.url"),
            why=f'{who} cannot see images. Send text parts only, or use a model with "vision" in GET /v1/prices.',
        )
    for name, free in PRICED_FIELDS.items():
        value = request.body.get(name)
        if value in free:
            continue
        priced = name == "web_search_options" and model.web_search_nusd is not None
        if name == "service_tier":
            priced = isinstance(value, str) and value in model.tiers
        if not priced:
            raise InvalidValue(
                param=name,
                why=f"this changes the price, and the model '{model.id}' has no price for it. Omit it.",
            )
