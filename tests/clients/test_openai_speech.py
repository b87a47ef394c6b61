"""Speech through OpenAI's package for Python, spoken by an upstream that speaks OpenAI's own API."""

from __future__ import annotations

from pathlib import Path

import pytest

from minitoolai.core.speech import FORMATS, MEDIA_TYPES, AudioFormat
from tests.clients.conftest import Visit
from tests.support.client_programs import ClientProgram
from tests.support.faithful_speech import CHARACTER_S
from tests.support.speaking_child import heard

TEXT = "Zażółć gęślą jaźń. 🎉"
#: 15 dollars a million characters.
CHARACTER_NUSD = 15_000


@pytest.mark.parametrize("sound_format", FORMATS)
def test_speech_streamed_to_a_file(
    openai_python: ClientProgram, visit: Visit, tmp_path: Path, sound_format: AudioFormat
) -> None:
    """A decoder reads the whole of it, in every format; every character is charged."""
    path = tmp_path / f"speech.{sound_format}"
    told = openai_python.ask("speak", key=visit.key, path=str(path), input=TEXT, response_format=sound_format, speed=0.5)
    assert told["content-type"] == MEDIA_TYPES[sound_format]
    listened = heard(path.read_bytes(), sound_format)
    assert len(listened.samples) / listened.rate == pytest.approx(len(TEXT) * CHARACTER_S / 0.5, abs=0.1)
    assert visit.spent_nusd() == len(TEXT) * CHARACTER_NUSD
    (call,) = visit.calls
    assert call.body == {
        "model": "tts-1", "input": TEXT, "voice": "alloy", "response_format": sound_format, "speed": 0.5,
    }  # fmt: skip


def test_what_is_refused(openai_python: ClientProgram, visit: Visit) -> None:
    """By the class that its users catch, also where the upstream refuses; nothing is charged."""
    for fields, kind, status, param in (
        ({"input": ""}, "BadRequestError", 400, "input"),
        ({"input": "a" * 4097}, "BadRequestError", 400, "input"),
        ({"speed": 5}, "BadRequestError", 400, "speed"),
        ({"voice": "nobody"}, "BadRequestError", 400, "voice"),
        ({"model": "gpt-4o"}, "BadRequestError", 400, "model"),
        ({"model": "tts-9"}, "NotFoundError", 404, "model"),
    ):
        found = openai_python.ask("speak_refused", key=visit.key, fields=fields)
        assert (found["class"], found["status_code"], found["param"]) == (kind, status, param)
    assert visit.spent_nusd() == 0
