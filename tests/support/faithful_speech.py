"""OpenAI's speech API as published (https://platform.openai.com/docs/api-reference/audio/createSpeech): what it refuses, and
a tone as long as the text for all else."""

from __future__ import annotations

import math
from array import array
from functools import cache
from typing import Any

from minitoolai.children.speech.encoding import encoder
from minitoolai.core.speech import FORMATS, AudioFormat
from tests.support.faithful_chat import Refusal

#: Models, and whether they follow instructions.
SPEECH_MODELS = {"tts-1": False, "tts-1-hd": False, "gpt-4o-mini-tts": True}
_VOICES = {"alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse"}
_FIELDS = {"model", "input", "voice", "response_format", "speed", "instructions", "stream_format"}
_MEDIA = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
_MOST_CHARACTERS = 4096
#: Samples a second, and how long a character is heard, in seconds.
_RATE, CHARACTER_S = 24_000, 0.06
#: What no model says.
FORBIDDEN = "forbidden"


def speak(body: dict[str, Any]) -> tuple[bytes, str]:
    """Return the sound of a call, and its type. Raises `Refusal`."""
    model, text = body.get("model"), body.get("input")
    if model not in SPEECH_MODELS:
        raise Refusal(404, f"The model `{model}` does not exist.", code="model_not_found")
    for name in body.keys() - _FIELDS:
        raise Refusal(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    for name in ("input", "voice"):
        if not isinstance(body.get(name), str) or not body[name]:
            raise Refusal(400, f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")
    assert isinstance(text, str)
    if len(text) > _MOST_CHARACTERS or FORBIDDEN in text:
        raise Refusal(400, "[{'type': 'string_too_long', 'loc': ('body', 'input')}]", param="input")
    if body["voice"] not in _VOICES:
        raise Refusal(400, f"Invalid voice: '{body['voice']}'.", param="voice", code="invalid_value")
    if not 0.25 <= body.get("speed", 1.0) <= 4.0:
        raise Refusal(400, "Input should be from 0.25 to 4.", param="speed", code="invalid_value")
    sound_format = body.get("response_format", "mp3")
    if sound_format not in FORMATS:
        raise Refusal(400, "Invalid value.", param="response_format", code="invalid_value")
    return _tone(sound_format, round(len(text) * CHARACTER_S * _RATE / body.get("speed", 1.0))), _MEDIA[sound_format]


@cache
def _tone(sound_format: AudioFormat, samples: int) -> bytes:
    """Return a tone of 440 Hz."""
    written = encoder(sound_format, _RATE)
    try:
        tone = array("h", (round(8000 * math.sin(math.tau * 440 * at / _RATE)) for at in range(samples)))
        return written.feed(tone.tobytes()) + written.finish()
    finally:
        written.close()
