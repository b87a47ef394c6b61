"""What is asked of a voice: the fields of a call for speech, their bounds, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from msgspec import Struct

#: Characters of a text that is spoken while its caller waits: OpenAI's limit
#: (https://platform.openai.com/docs/api-reference/audio/createSpeech#audio_createspeech-input).
MAX_STREAMED_CHARACTERS = 4096
#: Characters of a text that is spoken as a job.
MAX_JOB_CHARACTERS = 100_000
#: How fast, relative to the voice's own speed.
MIN_SPEED, MAX_SPEED, DEFAULT_SPEED = 0.25, 4.0, 1.0
#: How high, relative to the voice's own pitch.
MIN_PITCH, MAX_PITCH, DEFAULT_PITCH = 0.5, 2.0, 1.0
#: Characters of a voice's name, of a language tag (BCP 47), and of instructions to a voice.
MAX_VOICE_CHARACTERS = 100
MAX_LANGUAGE_CHARACTERS = 35
MAX_INSTRUCTIONS_CHARACTERS = 4096

AudioFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
FORMATS: tuple[AudioFormat, ...] = get_args(AudioFormat)
DEFAULT_FORMAT: AudioFormat = "mp3"
#: Samples a second of `pcm`, whose bytes do not say it: OpenAI's (https://platform.openai.com/docs/guides/text-to-speech).
PCM_RATE = 24_000
#: What each format is called in a reply's headers: RFC 3003, RFC 7845, RFC 6381, RFC 9639, RFC 2361, RFC 2586.
MEDIA_TYPES: Mapping[AudioFormat, str] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg; codecs=opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": f"audio/pcm;rate={PCM_RATE};channels=1;encoding=signed-int;bits=16",
}
#: OpenAI's names of voices (https://platform.openai.com/docs/guides/text-to-speech#voice-options): every engine of ours
#: maps them to voices of its own.
OPENAI_VOICES = (
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse",
)  # fmt: skip


class SpeechRequest(Struct, frozen=True):
    """Speech that is asked for, every field decided."""

    #: Plain text, or checked SSML (`core.ssml`).
    text: str
    #: Name of a voice of the engine, or one of `OPENAI_VOICES`; None: one that speaks the language.
    voice: str | None = None
    #: BCP 47 tag of the text's language; None: it is told from the text, where the voice does not fix it.
    language: str | None = None
    speed: float = DEFAULT_SPEED
    pitch: float = DEFAULT_PITCH
    format: AudioFormat = DEFAULT_FORMAT
    ssml: bool = False
    #: How to speak, in words; for models that understand it.
    instructions: str | None = None


class Voice(Struct, frozen=True):
    """A voice of an engine."""

    #: By which calls name it.
    id: str
    #: For people.
    name: str
    #: BCP 47 tag of the language that it speaks; "" where it speaks any.
    language: str
    gender: Literal["female", "male", "neutral"] | None = None
