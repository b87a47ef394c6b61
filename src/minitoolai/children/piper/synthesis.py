"""Speaks with Piper's voices: each piece through the voice's phonemes and its network, at one go."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from piper import SynthesisConfig

from minitoolai.children.piper import voice
from minitoolai.children.piper.folder import Speaker, order
from minitoolai.children.report import BootError
from minitoolai.children.speech.neural import check_plain, pieces_of
from minitoolai.children.speech.sessions import Threads, failures, samples
from minitoolai.children.speech.spelling import Speller
from minitoolai.children.speech.synthesis import Emit, Piece, Plan, SpeakingFailed
from minitoolai.children.speech.voices import Voices
from minitoolai.core.speech import SpeechRequest, Voice

#: What a voice is tried out with: sounds that every language has.
_TRIAL = "ma"


class Piper:
    """The engine; see `Synthesizer`."""

    def __init__(self, speakers: Sequence[Speaker], speller: Speller, language: str, threads: Threads, loaded: int) -> None:
        """`language`: BCP 47, where nothing else tells it; `loaded`: files kept in memory."""
        ordered = sorted(speakers, key=order)
        self._speakers = {speaker.voice.id: speaker for speaker in ordered}
        self._voices = Voices([speaker.voice for speaker in self._speakers.values()], language)
        self._shelf = voice.Shelf(lambda path: voice.load(path, speller, threads.threads), loaded)
        self.parallel = threads.parallel
        #: The id of the voice that speaks where a call says nothing.
        self.usual = self._voices.usual.id

    def voices(self) -> list[Voice]:
        """Return the voices that there are."""
        return list(self._voices.all)

    def plan(self, request: SpeechRequest) -> Plan:
        """Return how a call is spoken. Raises `Refused`."""
        check_plain(request)
        speaker = self._speakers[self._voices.find(request).id]
        return Plan(speaker.voice.id, speaker.rate, pieces_of(request.text))

    def say(self, request: SpeechRequest, plan: Plan, piece: Piece, emit: Emit) -> None:
        """Speak one piece of a call. Raises `SpeakingFailed`, and what `emit` raises, at once."""
        speaker = self._speakers[plan.voice]
        loaded = self._shelf.get(speaker.path)
        settings = SynthesisConfig(speaker_id=speaker.number, length_scale=loaded.config.length_scale / request.speed)
        sounds = iter(loaded.synthesize(piece.text, settings))
        while True:
            with failures(f"the voice {plan.voice}"):
                sound = next(sounds, None)
            if sound is None:
                return
            emit(samples(sound.audio_float_array))

    def try_out(self, name: str) -> None:
        """Speak a syllable with a voice. Raises `SpeakingFailed`."""
        heard: list[bytes] = []
        request = SpeechRequest(_TRIAL)
        plan = Plan(name, self._speakers[name].rate, pieces_of(_TRIAL))
        self.say(request, plan, plan.pieces[0], heard.append)
        if not any(heard):
            raise SpeakingFailed("engine_failed", f"the voice {name} makes no sound")


def start(
    speakers: Sequence[Speaker], speller: Speller, language: str, threads: Threads, loaded: int, log: Callable[[str], None]
) -> Piper:
    """Return the engine, tried out with the voice that most calls get; files that cannot speak are left out, and logged.

    Raises `BootError` (`model_invalid`, `out_of_memory`) where none is left.
    """
    remaining = list(speakers)
    while True:
        engine = Piper(remaining, speller, language, threads, loaded)
        usual = engine.usual
        try:
            engine.try_out(usual)
        except SpeakingFailed as error:
            broken = next(speaker.path for speaker in remaining if speaker.voice.id == usual)
            remaining = [speaker for speaker in remaining if speaker.path != broken]
            if error.code == "out_of_memory":
                raise BootError(
                    "out_of_memory", f"The machine has too little memory for the voice {broken.name}."
                ) from error
            why = f"The voice {broken} cannot speak ({error}). Get it anew: minitoolai models pull."
            if not remaining:
                raise BootError("model_invalid", why) from error
            log(f"a voice is left out: {why}")
        else:
            return engine
