"""Finds the voice of a call among those of an engine: by its name, by its language, or by the language of the text."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

from minitoolai.children.speech.language import language_of
from minitoolai.children.speech.synthesis import Refused
from minitoolai.core.speech import OPENAI_VOICES, SpeechRequest, Voice

#: How OpenAI's voices sound, after its own samples (https://www.openai.fm); who is not named is taken for either.
OPENAI_GENDERS: Mapping[str, str] = {
    "ash": "male", "ballad": "male", "cedar": "male", "coral": "female", "echo": "male", "marin": "female",
    "nova": "female", "onyx": "male", "sage": "female", "shimmer": "female", "verse": "male",
}  # fmt: skip
#: Names and languages that a refusal lists.
_MOST_LISTED = 20
_NEAR_NAMES = 3


class Voices:
    """The voices of an engine, each with a language of its own, in the order in which they are preferred."""

    def __init__(
        self, voices: Iterable[Voice], default_language: str, twins: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """`default_language`: BCP 47, spoken where nothing tells; without a voice for it, the first voice's is.

        `twins`: for names of OpenAI's, ids of voices that were made after theirs, best first; there need not be such.
        """
        self.all = list(voices)
        if not self.all:
            raise ValueError("no voices")
        self._by_id = {voice.id.casefold(): voice for voice in self.all}
        self._twins = twins or {}
        default = _speaking(self.all, default_language)
        self._default = default_language if default else self.all[0].language
        self._languages = list(dict.fromkeys(_primary(voice.language) for voice in self.all))

    @property
    def usual(self) -> Voice:
        """Return the voice that speaks where nothing tells another."""
        return self._of_language(self._default, None)

    def find(self, request: SpeechRequest) -> Voice:
        """Return the voice that speaks for a call. Raises `Refused`."""
        name = request.voice.casefold() if request.voice is not None else None
        if name is not None and name not in OPENAI_VOICES:
            return self._named(name, request)
        if name is not None and name in self._by_id and request.language is None:
            return self._by_id[name]
        return self._of_language(self._language(request), name)

    def _named(self, name: str, request: SpeechRequest) -> Voice:
        voice = self._by_id.get(name)
        if voice is None:
            near = difflib.get_close_matches(name, self._by_id, _NEAR_NAMES)
            nearest = ", ".join(repr(self._by_id[each].id) for each in near)
            hint = f"Did you mean {nearest}? " if near else ""
            raise Refused(
                "voice", f"there is no voice {request.voice!r}. {hint}GET /v1/audio/voices lists those that there are."
            )
        if request.language is not None and _primary(request.language) != _primary(voice.language):
            why = f"the voice {voice.id!r} speaks {voice.language}. Leave out language, or choose a voice that speaks it."
            raise Refused("language", why)
        return voice

    def _language(self, request: SpeechRequest) -> str:
        if request.language is not None:
            return request.language
        return language_of(request.text, self._languages, _primary(self._default))

    def _of_language(self, language: str, name: str | None) -> Voice:
        """Return the voice for a language that bears one of OpenAI's names; the first for None. Raises `Refused`."""
        speaking = _speaking(self.all, language, self._default)
        if not speaking:
            there = ", ".join(self._languages[:_MOST_LISTED]) + (", …" if len(self._languages) > _MOST_LISTED else "")
            raise Refused("language", f"no voice here speaks {language!r}. There are voices for: {there}.")
        if name is None:
            return speaking[0]
        for twin in self._twins.get(name, ()):
            voice = self._by_id.get(twin.casefold())
            if voice is not None and _answers(voice.language, language):
                return voice
        gender = OPENAI_GENDERS.get(name)
        alike = [voice for voice in speaking if gender is not None and voice.gender == gender] or speaking
        return alike[OPENAI_VOICES.index(name) % len(alike)]


def _speaking(voices: Sequence[Voice], language: str, default: str = "") -> list[Voice]:
    """Return the voices of a language: those of its very region, else those of the default's region, else of any."""
    primary = _primary(language)
    related = [voice for voice in voices if _primary(voice.language) == primary]
    for tag in (language, default):
        exact = [voice for voice in related if voice.language.casefold() == tag.casefold()]
        if exact:
            return exact
    return related


def _answers(spoken: str, asked: str) -> bool:
    """Tell whether a voice's language is the one that is asked for: of any region where none is."""
    return spoken.casefold() == asked.casefold() or (_primary(spoken) == _primary(asked) == asked.casefold())


def _primary(tag: str) -> str:
    """Return the language of a BCP 47 tag without region and script. Mandarin is Chinese by either name."""
    primary = tag.replace("_", "-").partition("-")[0].casefold()
    return "zh" if primary == "cmn" else primary
