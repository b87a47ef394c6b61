"""The elements of SSML that are spoken, and what their attributes may say: each value is checked and written one way.

After W3C's SSML 1.1 (https://www.w3.org/TR/speech-synthesis11/), of which this is a part. Sizes are written as percentages
of what is usual and times in milliseconds, whatever the caller wrote, so that an engine needs to know one writing only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

#: Of one `break`.
MAX_BREAK_MS = 10_000
#: Per cent of what is usual.
MIN_RATE, MAX_RATE = 25, 400
MIN_PITCH, MAX_PITCH = 50, 200
MIN_RANGE, MAX_RANGE = 0, 200
MIN_VOLUME, MAX_VOLUME = 0, 200
#: Characters that are said in place of an element's own.
MAX_ALIAS_CHARACTERS = 500

Attributes = Mapping[str, str]

_LANGUAGE = re.compile(r"(?=.{1,35}$)[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")
_TIME = re.compile(r"\+?(\d{1,6}(?:\.\d{1,6})?|\.\d{1,6})(ms|s)", re.ASCII)
_SIZE = re.compile(r"([+-]?)(\d{1,4}(?:\.\d{1,6})?|\.\d{1,6})(%|st|dB)?", re.ASCII)
_LEVELS = frozenset({"strong", "moderate", "none", "reduced"})
_STRENGTHS = frozenset({"none", "x-weak", "weak", "medium", "strong", "x-strong"})
_GENDERS = frozenset({"male", "female", "neutral"})
_SPEEDS = frozenset({"x-slow", "slow", "medium", "fast", "x-fast", "default"})
_HEIGHTS = frozenset({"x-low", "low", "medium", "high", "x-high", "default"})
_VOLUMES = frozenset({"silent", "x-soft", "soft", "medium", "loud", "x-loud", "default"})
#: Read letter by letter, and digit by digit; all other kinds are read as the language does. W3C's note on `say-as`
#: (https://www.w3.org/TR/ssml-sayas/), and the names that others use.
_SPELLED = frozenset({"characters", "character", "spell-out", "letters"})
_DIGITS = frozenset({"digits", "telephone"})
_KIND = re.compile(r"[A-Za-z][A-Za-z0-9:_-]{0,39}")
#: What a document's first element says of itself, and nobody needs.
_FORMALITIES = re.compile(r"version|xmlns(:.*)?|xsi:schemaLocation")


class BadAttribute(Exception):
    """An attribute is not spoken, is lacking, or has such a value; the message says what to write."""


def language(value: str) -> str:
    """Return a BCP 47 tag as it was written. Raises `BadAttribute`."""
    if not _LANGUAGE.fullmatch(value):
        raise BadAttribute('xml:lang is a language tag, as "pl" or "en-GB"')
    return value


def milliseconds(value: str) -> int:
    """Return how long a time is, as "250ms" or "1.5s". Raises `BadAttribute`."""
    match = _TIME.fullmatch(value)
    length = float(match[1]) * (1000 if match[2] == "s" else 1) if match else None
    if length is None or length > MAX_BREAK_MS:
        raise BadAttribute(f'time is from "0ms" to "{MAX_BREAK_MS // 1000}s", as "500ms" or "1.5s"')
    return round(length)


def per_cent(name: str, value: str, words: frozenset[str], least: int, most: int, unit: str = "") -> str:
    """Return a word as it is, and any size as a percentage: "+10%" is "110%". Raises `BadAttribute`.

    `unit`: in which a change may be written besides: `st`, semitones, each the twelfth root of two; `dB`, each the
    twentieth root of ten; `x`, a bare factor; `%`, a bare percentage.
    """
    if value in words:
        return value
    match = _SIZE.fullmatch(value)
    size = None if match is None else _factor(match[1], float(match[2]), match[3] or "", unit)
    # A tenth of a per cent is allowed for: +12st is a factor of two but for rounding.
    if size is None or not least - 0.1 <= 100 * size <= most + 0.1:
        example = {"st": ' or "+2st"', "dB": ' or "-6dB"', "x": ' or "1.2"', "%": ""}.get(unit, "")
        raise BadAttribute(
            f'{name} is "{least}%" to "{most}%" of what is usual, as "120%", "-20%"{example}, or one of '
            + ", ".join(sorted(words))
        )
    return f"{round(100 * size)}%"


def _factor(sign: str, number: float, written: str, unit: str) -> float | None:
    """Return what a size multiplies by; None where it is not written so."""
    signed = -number if sign == "-" else number
    if written == "%":
        return 1 + signed / 100 if sign else number / 100
    if written == "st" and unit == "st" and sign:
        return float(2 ** (min(max(signed, -100), 100) / 12))
    if written == "dB" and unit == "dB" and sign:
        return float(10 ** (min(max(signed, -100), 100) / 20))
    if not written and unit == "x" and not sign:
        return number
    if not written and unit == "dB":
        # SSML 1.0's scale of 0 to 100, which is as loud as is usual, and changes on it.
        return 1 + signed / 100 if sign else number / 100
    return None


def _speak(given: Attributes) -> dict[str, str]:
    return _languages({name: value for name, value in given.items() if not _FORMALITIES.fullmatch(name)})


def _languages(given: Attributes) -> dict[str, str]:
    """`p` and `s`: perhaps in a language."""
    _only(given, "xml:lang")
    return {"xml:lang": language(given["xml:lang"])} if "xml:lang" in given else {}


def _lang(given: Attributes) -> dict[str, str]:
    _needs(given, "xml:lang")
    return _languages({name: value for name, value in given.items() if name != "onlangfailure"})


def _break(given: Attributes) -> dict[str, str]:
    _only(given, "time", "strength")
    if "time" in given:
        return {"time": f"{milliseconds(given['time'])}ms"}
    return _word(given, "strength", _STRENGTHS)


def _prosody(given: Attributes) -> dict[str, str]:
    _only(given, "rate", "pitch", "volume", "range")
    written = {}
    if "rate" in given:
        written["rate"] = per_cent("rate", given["rate"], _SPEEDS, MIN_RATE, MAX_RATE, "x")
    if "pitch" in given:
        written["pitch"] = per_cent("pitch", given["pitch"], _HEIGHTS, MIN_PITCH, MAX_PITCH, "st")
    if "volume" in given:
        written["volume"] = per_cent("volume", given["volume"], _VOLUMES, MIN_VOLUME, MAX_VOLUME, "dB")
    if "range" in given:
        written["range"] = per_cent("range", given["range"], _HEIGHTS, MIN_RANGE, MAX_RANGE)
    if not written:
        raise BadAttribute("it needs rate, pitch, volume or range")
    return written


def _emphasis(given: Attributes) -> dict[str, str]:
    _only(given, "level")
    return _word(given, "level", _LEVELS)


def _say_as(given: Attributes) -> dict[str, str]:
    _needs(given, "interpret-as")
    _only(given, "interpret-as", "format", "detail")
    kind = given["interpret-as"]
    if not _KIND.fullmatch(kind):
        raise BadAttribute('interpret-as is a word, as "characters" or "digits"')
    return {"interpret-as": "characters" if kind in _SPELLED else "digits" if kind in _DIGITS else "text"}


def _sub(given: Attributes) -> dict[str, str]:
    _needs(given, "alias")
    _only(given, "alias")
    alias = " ".join(given["alias"].split())
    if not 1 <= len(alias) <= MAX_ALIAS_CHARACTERS:
        raise BadAttribute(f"alias has 1 to {MAX_ALIAS_CHARACTERS} characters")
    return {"alias": alias}


def _phoneme(given: Attributes) -> dict[str, str]:
    """Its text is spoken: no engine here takes others' signs for sounds, and then the text stands for them (3.1.10)."""
    _needs(given, "ph")
    _only(given, "ph", "alphabet", "type")
    return {}


def _voice(given: Attributes) -> dict[str, str]:
    _only(given, "xml:lang", "language", "languages", "gender")
    tag = next((given[name] for name in ("xml:lang", "language", "languages") if name in given), None)
    if tag is None and "gender" not in given:
        raise BadAttribute("it needs xml:lang or gender")
    # `languages` lists them, the wanted one first, each perhaps with an accent behind a colon.
    written = {} if tag is None else {"xml:lang": language((tag.split() or [""])[0].partition(":")[0])}
    return {**written, **_word(given, "gender", _GENDERS)}


def _mark(given: Attributes) -> dict[str, str]:
    _only(given, "name")
    return {}


def _token(given: Attributes) -> dict[str, str]:
    _only(given, "role", "xml:lang")
    return {}


def _only(given: Attributes, *known: str) -> None:
    for name in given:
        if name not in known:
            raise BadAttribute(f"its attribute {name[:40]} is not spoken; there is " + (", ".join(known) or "none"))


def _needs(given: Attributes, name: str) -> None:
    if name not in given:
        raise BadAttribute(f"it needs {name}")


def _word(given: Attributes, name: str, words: frozenset[str]) -> dict[str, str]:
    if name not in given:
        return {}
    if given[name] not in words:
        raise BadAttribute(f"{name} is one of {', '.join(sorted(words))}")
    return {name: given[name]}


#: By the elements that are spoken: what makes of the attributes of one those that are written. Raises `BadAttribute`.
ELEMENTS: Mapping[str, Callable[[Attributes], dict[str, str]]] = MappingProxyType(
    {
        "speak": _speak, "p": _languages, "s": _languages, "break": _break, "prosody": _prosody, "emphasis": _emphasis,
        "say-as": _say_as, "sub": _sub, "phoneme": _phoneme, "lang": _lang, "voice": _voice, "mark": _mark, "w": _token,
        "token": _token,
    }
)  # fmt: skip
#: Those whose tags are not written: their text is spoken as it stands.
UNWRITTEN = frozenset({"phoneme", "mark", "w", "token"})
