"""Which voices there are: those of every engine that can say so, and OpenAI's names, which all of them know."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from minitoolai.core.access import Principal
from minitoolai.core.catalog import Catalog, SpeechModel
from minitoolai.core.errors import ApiError, NoEngine
from minitoolai.core.speech import OPENAI_VOICES, Voice
from minitoolai.services.access import check_model
from minitoolai.services.routing import Router
from minitoolai.services.speech_ports import SpeechEngine

#: An engine that does not say by then is left out.
ASK_S = 5.0
#: OpenAI's names: each speaks any language.
NAMED_VOICES = tuple(Voice(name, name.capitalize(), "") for name in OPENAI_VOICES)


@dataclass(frozen=True, slots=True)
class ListedVoice:
    """A voice, and the models that have it."""

    voice: Voice
    models: list[str]


class Voices:
    """The voices of all models that speak."""

    def __init__(self, catalog: Catalog, router: Router[SpeechModel, SpeechEngine]) -> None:
        self._catalog = catalog
        self._router = router

    async def listed(self, principal: Principal, model: str | None = None, language: str | None = None) -> list[ListedVoice]:
        """Return the voices that the principal's key may use, OpenAI's names first; `model`: of one only; `language`: those
        that speak it, as a BCP 47 range ("en" is any English).

        Engines that are down have none. Raises `ModelNotFound`, `ModelNotAllowed`, `InvalidValue` for `model`.
        """
        models = self._models(principal, model)
        found: dict[Voice, list[str]] = {voice: [] for voice in NAMED_VOICES}
        answers = await asyncio.gather(*(self._of(each) for each in models))
        for each, voices in zip(models, answers, strict=True):
            for voice in dict.fromkeys(voices):
                found.setdefault(voice, []).append(each.id)
        return [
            ListedVoice(voice, names)
            for voice, names in found.items()
            if names and (language is None or _speaks(voice, language))
        ]

    def _models(self, principal: Principal, name: str | None) -> list[SpeechModel]:
        if name is None:
            served = (model for model in self._catalog.served() if isinstance(model, SpeechModel))
            return [model for model in served if principal.models is None or model.id in principal.models]
        try:
            model = self._catalog.speech_model(name)
        except NoEngine:
            return []
        check_model(principal, model)
        return [model]

    async def _of(self, model: SpeechModel) -> Sequence[Voice]:
        try:
            path = self._router.paths(model)[0]
            async with asyncio.timeout(ASK_S):
                return [*NAMED_VOICES, *await path.engine.voices(path.model)]
        except (ApiError, TimeoutError):
            return []


def _speaks(voice: Voice, language: str) -> bool:
    """Whether a voice speaks a language (basic filtering, RFC 4647 §3.3.1); one of no language speaks any."""
    tag, wanted = voice.language.lower(), language.lower()
    return not tag or tag == wanted or tag.startswith(f"{wanted}-")
