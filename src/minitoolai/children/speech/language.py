"""Tells a text's language among those that there are voices for: by its script, its letters, its words, and by py3langid.

py3langid's naive Bayes (https://github.com/adbar/py3langid) is right about sentences and guesses at single words, so a
prior says how often each language is met, and `common_words` what people write first.
"""

from __future__ import annotations

import functools
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping

from minitoolai.children.speech.common_words import LANGUAGES_OF_WORDS

#: Characters of a text that are looked at: a page says its language.
_MOST_CHARACTERS = 2000
#: Words that are looked up; a longer text has enough letters to be told by.
_MOST_WORDS = 12
#: The default stands where the likeliest language has less than this share of the belief, and less than so many times its.
_SURE, _FAR = 0.5, 10.0
#: What a word of `common_words`, and a letter that few languages have, add to the logarithm of belief.
_WORD_WEIGHT, _LETTER_WEIGHT = 3.5, 2.5
#: Of the logarithms of py3langid's shares and of the prior.
_SHARE_WEIGHT, _PRIOR_WEIGHT = 1.5, 0.7
#: Added to each share of py3langid's, whose smallest are zero.
_LEAST_SHARE = 1e-6

#: Other names of languages: espeak-ng's, and ISO 639's older ones, by py3langid's.
_ALIASES = {
    "cmn": "zh", "wuu": "zh", "nb": "no", "nn": "no", "hyw": "hy", "fil": "tl", "hbs": "hr", "gn": "gug", "ckb": "sdh",
    "iw": "he", "in": "id", "ji": "yi", "jw": "jv", "mo": "ro", "arb": "ar", "pes": "fa",
}  # fmt: skip
#: How often a language is met, relative to one that is not named: by what is written on the Web, roughly.
_PRIOR = {
    "en": 60.0,
    **dict.fromkeys(("de", "es", "fr", "it", "ja", "pl", "pt", "ru", "zh"), 20.0),
    **dict.fromkeys(("ar", "cs", "hi", "ko", "nl", "ro", "sv", "tr", "uk", "vi", "fa", "hu", "el", "id"), 12.0),
    **dict.fromkeys(("bg", "bn", "da", "fi", "he", "no", "sk", "th", "hr", "sr", "ca", "lt", "ms", "ta", "ur", "te"), 6.0),
    **dict.fromkeys(
        ("et", "lv", "sl", "sw", "mr", "ml", "kn", "gu", "pa", "ka", "hy", "az", "kk", "sq", "mk", "is", "be"), 3.0
    ),
}
#: Letters that few languages write, and which.
_LETTERS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys("łąęśźżćń", ("pl",)),
    **dict.fromkeys("ß", ("de",)),
    **dict.fromkeys("ñ¿¡", ("es",)),
    **dict.fromkeys("ğı", ("tr", "az")),
    **dict.fromkeys("őű", ("hu",)),
    **dict.fromkeys("řůě", ("cs",)),
    **dict.fromkeys("ľĺŕ", ("sk",)),
    **dict.fromkeys("ășțşţ", ("ro",)),
    **dict.fromkeys("ãõ", ("pt",)),
    **dict.fromkeys("đơưạảấầẩậắằẳặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ", ("vi",)),
    **dict.fromkeys("ûœëïèùç", ("fr",)),
    **dict.fromkeys("ø", ("da", "no")),
    **dict.fromkeys("їєґ", ("uk",)),
    **dict.fromkeys("ыэё", ("ru", "be")),
    **dict.fromkeys("ў", ("be", "uz")),
    **dict.fromkeys("љњћџђ", ("sr", "mk")),
    **dict.fromkeys("پچژگی", ("fa", "ur")),
    **dict.fromkeys("ٹڈڑےں", ("ur",)),
    **dict.fromkeys("ةىيأإ", ("ar",)),
    **dict.fromkeys("嘅咗係唔喺哋冇佢嚟", ("yue",)),
}
#: First character of each block of letters that says a script, and the languages written so; "" says nothing. Latin has
#: the rest. From the Unicode Character Database, Blocks.txt.
_SCRIPTS: tuple[tuple[int, int, str, frozenset[str]], ...] = tuple(
    (first, last, name, frozenset(languages.split()))
    for first, last, name, languages in (
        (0x0370, 0x03FF, "greek", "el grc"),
        (0x1F00, 0x1FFF, "greek", "el grc"),
        (0x0400, 0x052F, "cyrillic", "ru uk bg be sr mk kk ky mn tg tt ba cv nog kaa ru-cl"),
        (0x0530, 0x058F, "armenian", "hy"),
        (0x0590, 0x05FF, "hebrew", "he yi hbo"),
        (0x0600, 0x077F, "arabic", "ar fa ur ps ug sd sdh ary arz"),
        (0xFB50, 0xFDFF, "arabic", "ar fa ur ps ug sd sdh ary arz"),
        (0xFE70, 0xFEFF, "arabic", "ar fa ur ps ug sd sdh ary arz"),
        (0x0900, 0x097F, "devanagari", "hi mr ne kok sa gom"),
        (0x0980, 0x09FF, "bengali", "bn as bpy"),
        (0x0A00, 0x0A7F, "gurmukhi", "pa"),
        (0x0A80, 0x0AFF, "gujarati", "gu"),
        (0x0B00, 0x0B7F, "oriya", "or"),
        (0x0B80, 0x0BFF, "tamil", "ta"),
        (0x0C00, 0x0C7F, "telugu", "te"),
        (0x0C80, 0x0CFF, "kannada", "kn"),
        (0x0D00, 0x0D7F, "malayalam", "ml"),
        (0x0D80, 0x0DFF, "sinhala", "si"),
        (0x0E00, 0x0E7F, "thai", "th"),
        (0x0E80, 0x0EFF, "lao", "lo"),
        (0x0F00, 0x0FFF, "tibetan", "bo dz"),
        (0x1000, 0x109F, "burmese", "my shn"),
        (0x10A0, 0x10FF, "georgian", "ka"),
        (0x1200, 0x139F, "ethiopic", "am ti"),
        (0x13A0, 0x13FF, "cherokee", "chr"),
        (0x1780, 0x17FF, "khmer", "km"),
        (0x1100, 0x11FF, "hangul", "ko"),
        (0x3130, 0x318F, "hangul", "ko"),
        (0xAC00, 0xD7AF, "hangul", "ko"),
        (0x3040, 0x30FF, "kana", "ja"),
        (0xFF66, 0xFF9D, "kana", "ja"),
        (0x3400, 0x9FFF, "han", "zh yue hak ja"),
        (0xF900, 0xFAFF, "han", "zh yue hak ja"),
        (0x20000, 0x3FFFF, "han", "zh yue hak ja"),
    )
)
_LANGUAGES_OF_SCRIPTS = {name: languages for _, _, name, languages in _SCRIPTS}
#: Scripts whose letter is a syllable or a word, and so says as much as two of others.
_DENSE = frozenset({"hangul", "kana", "han"})
#: Languages with a script of their own are not met in Latin letters.
_NOT_LATIN = frozenset().union(*_LANGUAGES_OF_SCRIPTS.values()) - {"sr", "uz", "kaa", "hak"}

#: Say nothing about a language: addresses on the Web and of mail.
_ADDRESSES = re.compile(r"\bhttps?://\S+|\bwww\.\S+|\S+@\S+", re.IGNORECASE)
_WORDS = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")


def language_of(text: str, candidates: Collection[str], default: str) -> str:
    """Return the candidate that a text is written in, or `default` where nothing says so.

    `candidates`: primary tags of BCP 47, as voices have them. `default` is one of them, or what to say instead of them.
    Safe to call from several threads.
    """
    sample = _ADDRESSES.sub(" ", text[:_MOST_CHARACTERS])
    script = _script(sample)
    by_name: dict[str, str] = {}
    for candidate in candidates:
        by_name.setdefault(_ALIASES.get(candidate, candidate), candidate)
    if script is None:
        return default
    possible = _possible(script, by_name)
    if not possible:
        return default
    if len(possible) == 1 and script != "latin":
        return by_name[possible[0]]
    usual = _ALIASES.get(default, default)
    belief = _belief(sample, possible, usual)
    best = max(possible, key=belief.__getitem__)
    if belief[best] < _SURE and belief.get(usual, 0.0) * _FAR > belief[best]:
        return by_name[usual]
    return by_name[best]


def warm_up() -> None:
    """Load the detector, which is otherwise done by the first call. Raises `ImportError` where it is not installed."""
    language_of("This is read once.", ("en", "de"), "en")


def _script(text: str) -> str | None:
    """Return the script of most of a text's letters; None where it has no letters."""
    counts: Counter[str] = Counter()
    for character, count in Counter(text).items():
        if character.isalpha():
            name = _script_of(ord(character))
            counts[name] += count * (2 if name in _DENSE else 1)
    # Japanese is written in both.
    if counts["kana"] * 8 >= counts["han"]:
        counts["kana"] += counts.pop("han", 0) if counts["kana"] else 0
    best = counts.most_common(1)
    return best[0][0] if best and best[0][1] else None


@functools.lru_cache(maxsize=4096)
def _script_of(code: int) -> str:
    return next((name for first, last, name, _ in _SCRIPTS if first <= code <= last), "latin")


def _possible(script: str, names: Iterable[str]) -> list[str]:
    """Return which of the languages are written in a script. Without a voice for Chinese, Han is read as Japanese."""
    if script == "latin":
        return [name for name in names if name not in _NOT_LATIN]
    found = [name for name in names if name in _LANGUAGES_OF_SCRIPTS[script]]
    if script == "han" and any(name != "ja" for name in found):
        found = [name for name in found if name != "ja"]
    return found


def _belief(text: str, possible: list[str], usual: str) -> dict[str, float]:
    """Return how likely each of the languages is; they sum to one. `usual` is met as often as any."""
    shares: dict[str, float] = defaultdict(float)
    for name, share in _rank()(text):
        shares[_ALIASES.get(name, name)] += share
    prior = {name: _PRIOR.get(name, 1.0) for name in possible} | {usual: max(_PRIOR.values())}
    weights = {
        name: _SHARE_WEIGHT * math.log(shares[name] + _LEAST_SHARE) + _PRIOR_WEIGHT * math.log(prior[name])
        for name in possible
    }
    folded = unicodedata.normalize("NFC", text).casefold()
    words = _WORDS.findall(folded)
    if len(words) <= _MOST_WORDS:
        for word in words:
            for language in LANGUAGES_OF_WORDS.get(word, ()):
                if language in weights:
                    weights[language] += _WORD_WEIGHT
    for letter in set(folded):
        for language in _LETTERS.get(letter, ()):
            if language in weights:
                weights[language] += _LETTER_WEIGHT
    most = max(weights.values())
    beliefs = {name: math.exp(weight - most) for name, weight in weights.items()}
    total = sum(beliefs.values())
    return {name: belief / total for name, belief in beliefs.items()}


@functools.cache
def _rank() -> Callable[[str], list[tuple[str, float]]]:
    """Return what gives the share of each of py3langid's languages in a text; it keeps nothing between calls."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    rank: Callable[[str], list[tuple[str, float]]] = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True).rank
    return rank
