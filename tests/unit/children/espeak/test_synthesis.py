"""espeak-ng's pitch, phonemes, markup, and what it does with texts that are too much for it."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from minitoolai.children.espeak.native import Library
from minitoolai.children.espeak.synthesis import Espeak
from minitoolai.children.espeak.utterances import Utterance
from minitoolai.children.espeak.voices import TWINS
from minitoolai.children.speech.synthesis import Piece, Refused, SpeakingFailed
from minitoolai.core.speech import OPENAI_VOICES, SpeechRequest
from minitoolai.core.ssml import checked_ssml

#: Samples between which a voice's pitch is looked for: 40 to 500 Hz.
SHORTEST, LONGEST = 22_050 // 500, 22_050 // 40
VOWELS = "Mama am ma lama, mama ma."


@pytest.fixture(scope="module")
def espeak() -> Iterator[Espeak]:
    """The engine."""
    engine = Espeak("en", parallel=2)
    yield engine
    engine.close()


def samples(espeak: Espeak, request: SpeechRequest) -> array[int]:
    """Return the sound of a whole text."""
    plan, sound = espeak.plan(request), bytearray()
    for piece in plan.pieces:
        espeak.say(request, plan, piece, sound.extend)
    return array("h", bytes(sound))


def marked(espeak: Espeak, body: str, root: str = "", **fields: Any) -> array[int]:
    """Return the sound of an SSML document."""
    return samples(espeak, SpeechRequest(checked_ssml(f"<speak{root}>{body}</speak>"), ssml=True, **fields))


def seconds(espeak: Espeak, body: str) -> float:
    """Return how long an SSML document is spoken in English."""
    return len(marked(espeak, body, language="en")) / 22_050


def pitch(sound: array[int]) -> float:
    """Return the middle of a sound's pitch in hertz: where each loud window is most like itself a little later."""
    found = []
    for at in range(0, len(sound) - 2048 - LONGEST, 1024):
        window = np.array(sound[at : at + 2048 + LONGEST], np.float64)
        if np.abs(window).max() > 3000:
            likeness = np.correlate(window, window[:2048])
            found.append(22_050 / (SHORTEST + int(likeness[SHORTEST:].argmax())))
    return float(np.median(found))


@pytest.mark.parametrize("height", [0.5, 0.75, 1.5, 2.0])
@pytest.mark.parametrize("voice", ["en-us", "pl"])
def test_pitch(espeak: Espeak, voice: str, height: float) -> None:
    """Relative to the voice's own, also where the library's scale has ended; the time stays the same."""
    usual = samples(espeak, SpeechRequest(VOWELS, voice=voice))
    found = samples(espeak, SpeechRequest(VOWELS, voice=voice, pitch=height))
    assert pitch(found) == pytest.approx(pitch(usual) * height, rel=0.12)
    assert len(found) == pytest.approx(len(usual), rel=0.05)


@pytest.mark.parametrize("speed", [0.25, 0.57, 1.48, 4.0])
@pytest.mark.parametrize("voice", ["pl", "zh"])
def test_speed_in_other_languages(espeak: Espeak, voice: str, speed: float) -> None:
    """Inverse to the time, also where tones cannot be hurried; to either side of where the library's own scale ends."""
    text = {"pl": "Zażółć gęślą jaźń. To jest próba mowy, i nic więcej.", "zh": "你好，世界。今天天气很好。"}[voice]
    usual = len(samples(espeak, SpeechRequest(text, voice=voice)))
    found = len(samples(espeak, SpeechRequest(text, voice=voice, speed=speed)))
    assert found == pytest.approx(usual / speed, rel=0.13)


def test_openais_voices_sound_as_they_are_called(espeak: Espeak) -> None:
    """Women's are higher than men's; there is a variant for each."""
    assert set(TWINS) == set(OPENAI_VOICES)
    women, men = ("coral", "marin", "nova", "sage", "shimmer"), ("ash", "ballad", "cedar", "echo", "onyx", "verse")
    heights = {name: pitch(samples(espeak, SpeechRequest(VOWELS, voice=name))) for name in (*women, *men)}
    assert min(heights[name] for name in women) > 1.3 * max(heights[name] for name in men)


@pytest.mark.parametrize(
    ("voice", "text", "sounds"),
    [
        ("gmw/en-US", "hello", "həlˈoʊ"), ("gmw/en", "hello", "həlˈəʊ"), ("zlw/pl", "cześć", "tʃˈɛɕtɕ"),
        ("gmw/de", "ich", "ɪç"), ("roa/fr", "bonjour", "bɔ̃ʒˈuʁ"), ("roa/es", "niño", "nˈiɲo"),
        ("zle/uk", "привіт", "prɪβˈiːt̪"), ("sem/ar", "سلام", "salˈaːm"), ("sit/cmn", "你好", "ni2χˈɑu2"),
    ],
)  # fmt: skip
def test_sounds_are_those_of_the_words(voice: str, text: str, sounds: str) -> None:
    """By the library's own account, in IPA; tones are figures."""
    library = Library()
    library.choose(voice, 175, 50)
    assert library.phonemes(text).strip() == sounds


def test_a_voice_that_the_library_lacks() -> None:
    """It says so."""
    with pytest.raises(LookupError, match="nobody"):
        Library().choose("nobody", 175, 50)


@pytest.mark.parametrize("milliseconds", [250, 1500, 9000])
def test_breaks(espeak: Espeak, milliseconds: int) -> None:
    """A pause adds its time."""
    with_break = seconds(espeak, f'Mama <break time="{milliseconds}ms"/> am.')
    assert with_break - seconds(espeak, 'Mama <break time="0ms"/> am.') == pytest.approx(milliseconds / 1000, abs=0.15)


def test_markup_is_heard(espeak: Espeak) -> None:
    """Speed, pitch, loudness, spelling, figures and replaced words."""
    plain = marked(espeak, VOWELS, language="en")
    assert seconds(espeak, f'<prosody rate="50%">{VOWELS}</prosody>') == pytest.approx(2 * len(plain) / 22_050, rel=0.1)
    high = marked(espeak, f'<prosody pitch="+50%">{VOWELS}</prosody>', language="en")
    assert pitch(high) == pytest.approx(1.5 * pitch(plain), rel=0.1)
    soft = marked(espeak, f'<prosody volume="-6dB">{VOWELS}</prosody>', language="en")
    assert max(soft) == pytest.approx(max(plain) / 2, rel=0.3)
    assert seconds(espeak, '<say-as interpret-as="characters">mama</say-as>') > 1.3 * seconds(espeak, "mama")
    assert seconds(espeak, '<say-as interpret-as="digits">1234</say-as>') < 0.8 * seconds(espeak, "1234")
    assert seconds(espeak, '<sub alias="a much longer text">x</sub>') > 1.5 * seconds(espeak, "x")


def test_languages_in_markup(espeak: Espeak) -> None:
    """A document's language chooses the voice where the call does not; a word's changes it for that word."""
    assert marked(espeak, "cześć", ' xml:lang="pl"') == marked(espeak, "cześć", voice="pl")
    assert marked(espeak, 'a <lang xml:lang="pl">cześć</lang>', language="en") != marked(espeak, "a cześć", language="en")
    request = SpeechRequest(checked_ssml('<speak>a <lang xml:lang="xx">b</lang></speak>'), ssml=True)
    with pytest.raises(Refused, match=r"^text: .*'xx'"):
        espeak.plan(request)


def test_a_files_name_is_never_opened(espeak: Espeak) -> None:
    """Signs of the library's own for sounds, files and elements are read as signs."""
    assert samples(espeak, SpeechRequest("[[h@l'oU]]", voice="en-us")) != samples(
        espeak, SpeechRequest("hello", voice="en-us")
    )
    assert len(samples(espeak, SpeechRequest('<audio src="/etc/passwd"/>', voice="en-us"))) < 10 * 22_050


def test_pieces_end_where_their_sentences_do(espeak: Espeak) -> None:
    """Up to the end of the text, with a pause after each but the last."""
    request = SpeechRequest("One. Two.  Three! ", voice="en-us")
    plan = espeak.plan(request)
    assert [piece.ends_at for piece in plan.pieces] == [5, 11, 18]
    assert (plan.voice, plan.rate, espeak.parallel) == ("gmw/en-US", 22_050, 2)
    lengths = []
    for piece in plan.pieces:
        sound = bytearray()
        espeak.say(request, plan, piece, sound.extend)
        lengths.append(len(bytes(sound).rstrip(b"\0")) < len(sound) - 2000)
    assert lengths[:2] == [True, True]


@pytest.mark.parametrize("text", ["", " ", "\u200f", "́"])
def test_nothing_to_say(espeak: Espeak, text: str) -> None:
    """No sound is made, and nothing fails."""
    assert len(samples(espeak, SpeechRequest(text, voice="en-us"))) == 0


def test_what_crashes_the_library_is_said_plainly(espeak: Espeak) -> None:
    """A text that it does not survive is spoken without its signs, where nothing of it was heard yet."""
    crashing = '<speak>x<say-as interpret-as="characters">✖╢⤕ ⨈₶⦒▼ ⟬♗ --⚆⅒⢪ ⚡}⟸⥁ ⇮⁂⊺⚲&amp;⥧ ⡤ ➵⎨&amp;</say-as></speak>'
    request = SpeechRequest(crashing, voice="bn", ssml=True)
    plan = espeak.plan(request)
    with pytest.raises(SpeakingFailed):
        espeak._mouth.say(Utterance(plan.pieces[0].text, plan.voice, 175, 50, ssml=True), lambda _: None)
    sound = bytearray()
    espeak.say(request, plan, plan.pieces[0], sound.extend)
    assert sound


def test_a_crash_after_the_first_sound_is_told(espeak: Espeak) -> None:
    """What was heard cannot be taken back, and is not said twice."""
    request = SpeechRequest("A story. " * 20 + "s'" * 300, voice="en-us")
    plan = espeak.plan(request)
    marked_up = f"<speak>{request.text}</speak>"
    sound = bytearray()
    with pytest.raises(SpeakingFailed):
        espeak.say(SpeechRequest(marked_up, ssml=True), plan, Piece(marked_up, len(marked_up)), sound.extend)
    assert sound
