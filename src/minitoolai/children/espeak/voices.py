"""Which voices espeak-ng has, how calls name them, and which one speaks for a call.

A voice is called as its file is ("pl", "en-us"), or by a tag of BCP 47 that it speaks ("zh-TW"); "pl+f3" is the Polish voice
changed by the variant f3. OpenAI's names are variants of whatever language is spoken.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Literal, cast

from minitoolai.children.espeak.native import VARIANTS, NativeVoice
from minitoolai.children.speech.language import language_of
from minitoolai.children.speech.synthesis import Refused
from minitoolai.core.speech import OPENAI_VOICES, Voice

#: Ids of voices whose file's name says too little.
_IDS: Mapping[str, str] = {"en": "en-gb"}
#: Languages of voices whose ids are no tags of BCP 47, or those of other languages.
_TAGS: Mapping[str, str] = {
    "cmn": "zh", "cmn-latn-pinyin": "zh-Latn-pinyin", "yue-latn-jyutping": "yue-Latn-jyutping", "pt": "pt-PT",
    "ca-ba": "ca-ES-x-balear", "ca-nw": "ca-ES-x-nordocc", "ca-va": "ca-ES-valencia", "ru-cl": "ru-x-classic",
    "en-us-nyc": "en-US-x-nyc", "piqd": "tlh-Piqd", "py": "art-x-pyash", "qdb": "art-x-belta",
}  # fmt: skip
#: Tags of languages, or of what is written like them, beside those that the library knows: what most people mean by a
#: language without a region, where Cantonese is spoken, ISO 639's older codes, and macrolanguages.
_MEANT: Mapping[str, str] = {
    "en": "en-us", "zh-hk": "yue", "zh-mo": "yue", "zh-hant-hk": "yue", "nn": "nb", "iw": "he", "in": "id", "mo": "ro",
    "sh": "hr", "arb": "ar", "pes": "fa", "tlh": "piqd", "zsm": "ms", "swh": "sw", "ekk": "et", "lvs": "lv",
}  # fmt: skip
#: By primary tag, where regions without a voice of their own speak otherwise than the language's usual voice: the regions
#: that speak as it does, and the id of the others' (after CLDR's parents of locales).
_ABROAD: Mapping[str, tuple[frozenset[str], str]] = {
    "en": (frozenset({"us", "ca", "ph", "pr"}), "en-gb"),
    "es": (frozenset({"es", "gq", "ph"}), "es-419"),
}
#: OpenAI's names, by how they sound there: the variants of ours, the best first. Without any, the plain voice speaks.
TWINS: Mapping[str, str] = {
    "alloy": "f4", "ash": "m3", "ballad": "Diogo", "cedar": "m1", "coral": "f2", "echo": "m7", "fable": "steph",
    "marin": "linda", "nova": "f3", "onyx": "m8", "sage": "f5", "shimmer": "Alicia", "verse": "Hugo",
}  # fmt: skip

_TAG = re.compile(r"[a-z]{2,8}(-[a-z0-9]{1,8})*")
#: A language with a script or a region at most: what a voice may be called by that has no voice of its own ("pl-PL").
_PLACE = re.compile(r"[a-z]{2,3}(-[a-z]{4})?(-([a-z]{2}|\d{3}))?")
_REGION = re.compile(r"[a-z]{2}|\d{3}")
#: Names that a refusal suggests.
_NEAR = 3

_Gender = Literal["female", "male", "neutral"]


class Voices:
    """All voices."""

    def __init__(self, voices: Sequence[NativeVoice], variants: Sequence[NativeVoice], default_language: str) -> None:
        """`default_language`: BCP 47, of texts that tell none; English where there is no voice for it."""
        named = {_id(voice): voice for voice in voices}
        #: In the order of their languages' names.
        self.all = [
            Voice(name, voice.name, _tag(name), cast("_Gender | None", voice.gender))
            for name, voice in sorted(named.items(), key=lambda item: item[1].name)
        ]
        self._identifiers = {name: voice.identifier for name, voice in named.items()}
        self._languages = {name: voice.languages[0][0] for name, voice in named.items()}
        self._variants = {each.identifier.removeprefix(VARIANTS).lower(): each.identifier for each in variants}
        self._by_tag = self._tags(named)
        self._tag_of = {voice.id: voice.language for voice in self.all}
        self._primaries = sorted({voice.language.partition("-")[0] for voice in self.all})
        default = self.speaking(default_language)
        self._default = default_language if default else "en"

    def _tags(self, named: Mapping[str, NativeVoice]) -> dict[str, str]:
        """Return ids by the tags, in lower case, that they speak; the library says who speaks one that several do."""
        ranked: dict[str, tuple[int, str]] = {}
        for name, voice in named.items():
            for language, place in voice.languages:
                ranked[language] = min(ranked.get(language, (place, name)), (place, name), key=lambda rank: rank[0])
        found = {language: name for language, (_, name) in ranked.items()}
        found |= {_tag(name).lower(): name for name in named}
        found |= {name: name for name in named}
        return found | {tag: name for tag, name in _MEANT.items() if name in named}

    def speaking(self, language: str) -> str | None:
        """Return the id of the voice for a BCP 47 tag, or for the nearest there is (RFC 4647, 3.4); None: there is none."""
        tag = language.lower()
        if not _TAG.fullmatch(tag):
            return None
        parts = tag.split("-")
        at_home, abroad = _ABROAD.get(parts[0], (frozenset(), ""))
        while parts:
            found = self._by_tag.get("-".join(parts))
            if found is not None:
                return found
            if len(parts) > 1 and abroad in self._identifiers and _REGION.fullmatch(parts[-1]) and parts[-1] not in at_home:
                return abroad
            parts.pop()
            if parts and len(parts[-1]) == 1:
                parts.pop()
        return None

    def choose(self, name: str | None, language: str | None, text: str, says: str | None = None) -> str:
        """Return how the library calls the voice for a call, with `+VARIANT` where one changes it. Raises `Refused`.

        Where neither tells the language, it is what the text `says` of itself, or what it looks like.
        """
        if name is not None and name.lower() not in OPENAI_VOICES:
            return self._named(name, language)
        spoken = self._spoken(language or says, text)
        variant = self._variants.get(TWINS[name.lower()].lower()) if name is not None else None
        return self.identifier(spoken, variant)

    def identifier(self, voice: str, variant: str | None = None) -> str:
        """Return how the library calls a voice of ours, changed by a variant of its own."""
        return self._identifiers[voice] + (f"+{variant.removeprefix(VARIANTS)}" if variant else "")

    def library_language(self, language: str) -> str | None:
        """Return the library's name of the language that a tag means; None where nobody speaks it."""
        voice = self.speaking(language)
        return None if voice is None else self._languages[voice]

    def _spoken(self, language: str | None, text: str) -> str:
        """Return the id of the voice for a language, or for a text's. Raises `Refused`."""
        if language is None:
            usual = self._default.partition("-")[0].lower()
            told = language_of(text, self._primaries, usual)
            language = self._default if told == usual else told
        voice = self.speaking(language)
        if voice is None:
            raise Refused("language", f"no voice here speaks {language!r}. {_LIST} lists the languages that there are.")
        return voice

    def _named(self, name: str, language: str | None) -> str:
        base, plus, variant = name.partition("+")
        voice = self.speaking(base) if _PLACE.fullmatch(base.lower()) or base.lower() in self._by_tag else None
        changed = self._variants.get(variant.lower()) if plus else ""
        if voice is None or changed is None:
            raise Refused(
                "voice", f"there is no voice {name!r}. {self._near(name, voice)}{_LIST} lists those that there are."
            )
        if language is not None and not self._speaks(voice, language):
            why = f"the voice {name!r} speaks {self._tag_of[voice]}. Leave out language, or choose a voice that speaks it."
            raise Refused("language", why)
        return self.identifier(voice, changed)

    def _near(self, name: str, voice: str | None) -> str:
        """Return a hint at names that are like one that there is not."""
        base, plus, variant = name.lower().partition("+")
        if voice is not None:
            near = [f"{base}+{each}" for each in difflib.get_close_matches(variant, self._variants, _NEAR)]
        else:
            changed = f"+{variant}" if plus and variant in self._variants else ""
            known = {voice.name.partition(" ")[0].lower(): voice.id for voice in reversed(self.all)}
            known |= {each: each for each in (*self._identifiers, *(() if plus else OPENAI_VOICES))}
            near = [f"{known[each]}{changed}" for each in difflib.get_close_matches(base, known, _NEAR)]
        return f"Did you mean {', '.join(map(repr, near))}? " if near else ""

    def _speaks(self, voice: str, language: str) -> bool:
        asked = self.speaking(language)
        return asked is not None and _primary(self._tag_of[asked]) == _primary(self._tag_of[voice])


_LIST = "GET /v1/audio/voices"


def _primary(tag: str) -> str:
    return tag.partition("-")[0].lower()


def _id(voice: NativeVoice) -> str:
    name = voice.identifier.rpartition("/")[2].lower()
    return _IDS.get(name, name)


def _tag(name: str) -> str:
    """Return the BCP 47 tag of a voice's language, as it is usually written: scripts as "Latn", regions as "GB"."""
    if name in _TAGS:
        return _TAGS[name]
    first, *rest = name.split("-")
    written = [first]
    for part in rest:
        private = "x" in written
        written.append(part if private else part.upper() if len(part) == 2 else part.title() if len(part) == 4 else part)
    return "-".join(written)
