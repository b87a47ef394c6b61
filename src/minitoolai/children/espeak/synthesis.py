"""Plans calls and has the mouth speak them: voices, sentences, speed and pitch."""

from __future__ import annotations

import os
from dataclasses import dataclass

from minitoolai.children.espeak import markup
from minitoolai.children.espeak.boot import MAX_PARALLEL
from minitoolai.children.espeak.cleaning import cleaned, plainest
from minitoolai.children.espeak.pitch import height_left, pitch_value
from minitoolai.children.espeak.speaking import Mouth
from minitoolai.children.espeak.stretching import Stretch
from minitoolai.children.espeak.utterances import Utterance
from minitoolai.children.espeak.voices import Voices
from minitoolai.children.speech.synthesis import Emit, Piece, Plan, Refused, SpeakingFailed
from minitoolai.core.sentences import sentences
from minitoolai.core.speech import SpeechRequest, Voice
from minitoolai.core.ssml import plain_text

#: Words a minute that the library speaks by itself, and those between which it keeps to what it is asked for: duration
#: is inverse to it within an eighth, in Mandarin as well. It takes 80 to 450; the rest is left to `stretching`.
USUAL_RATE, LEAST_RATE, MOST_RATE = 175, 100, 260


class Espeak:
    """The engine. Its methods are for any thread."""

    def __init__(self, default_language: str, parallel: int | None = None) -> None:
        """`parallel`: pieces spoken side by side; None: one for each core. Raises `BootError`."""
        self._mouth = Mouth()
        self.parallel = parallel or min(os.cpu_count() or 1, MAX_PARALLEL)
        self.version = self._mouth.inventory.version
        self._voices = Voices(self._mouth.inventory.voices, self._mouth.inventory.variants, default_language)

    def voices(self) -> list[Voice]:
        """Return the voices, one for each language or way to speak it; variants are not listed."""
        return self._voices.all

    def plan(self, request: SpeechRequest) -> Plan:
        """Return how a call is spoken. Raises `Refused`."""
        pieces = self._pieces(request)
        said, says = request.text, None
        if request.ssml:
            said, says = plain_text(request.text), markup.language(request.text)
        voice = self._voices.choose(request.voice, request.language, said, says)
        return Plan(voice, self._mouth.inventory.rate, pieces)

    def _pieces(self, request: SpeechRequest) -> list[Piece]:
        if not request.ssml:
            return [Piece(sentence.text, sentence.ends_at) for sentence in sentences(request.text)]
        try:
            return markup.documents(request.text, self._voices.library_language)
        except markup.UnknownLanguage as error:
            why = f"it says xml:lang={error.tag!r}, and no voice here speaks that. Write another, or leave it out."
            raise Refused("text", why) from error

    def say(self, request: SpeechRequest, plan: Plan, piece: Piece, emit: Emit) -> None:
        """Speak one piece of a call, in samples as they come. Raises `SpeakingFailed`, and what `emit` raises, at once."""
        asked = _Asked.of(request)
        text = piece.text if request.ssml else cleaned(piece.text)
        if not text:
            return
        stretch = Stretch(plan.rate, asked.tempo, asked.height)
        sound = _Emitted(stretch, emit)
        # SSML has its own pauses: at the end of each `p` and `s`.
        pause = piece is not plan.pieces[-1] and not text.endswith(markup.PAUSED)
        utterance = Utterance(text, plan.voice, asked.rate, asked.pitch, ssml=request.ssml, pause=pause)
        try:
            self._mouth.say(utterance, sound.take)
        except SpeakingFailed:
            if sound.has_come:
                raise
            # What is heard of it is what it says; only signs are left out.
            plainer = plainest(plain_text(text) if request.ssml else text)
            self._mouth.say(Utterance(plainer, plan.voice, asked.rate, asked.pitch, pause=pause), sound.take)
        sound.finish()

    def close(self) -> None:
        """End the process that speaks."""
        self._mouth.close()


class _Emitted:
    """Sound on its way to a caller."""

    def __init__(self, stretch: Stretch, emit: Emit) -> None:
        self._stretch = stretch
        self._emit = emit
        self.has_come = False

    def take(self, samples: bytes) -> None:
        self.has_come = True
        self._give(self._stretch.feed(samples))

    def finish(self) -> None:
        self._give(self._stretch.finish())

    def _give(self, samples: bytes) -> None:
        if samples:
            self._emit(samples)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A call's speed and pitch: what is asked of the library, and what is left to do with its sound."""

    #: Words a minute.
    rate: int
    tempo: float
    pitch: int
    height: float

    @classmethod
    def of(cls, request: SpeechRequest) -> _Asked:
        """Return both for a call."""
        wanted = USUAL_RATE * request.speed
        rate = round(min(max(wanted, LEAST_RATE), MOST_RATE))
        tempo = 1.0 if LEAST_RATE <= wanted <= MOST_RATE else wanted / rate
        return cls(rate, tempo, pitch_value(request.pitch), height_left(request.pitch))
