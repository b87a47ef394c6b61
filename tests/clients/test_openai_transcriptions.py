"""Transcriptions through OpenAI's package for Python, written down by an upstream that speaks OpenAI's own API."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.conftest import Visit
from tests.support.client_programs import ClientProgram
from tests.support.sounds import sound

#: 1500 ms at 0.006 USD a minute.
COST = 150_000
TEXT = "Zażółć 1500 ms of sound.wav in any language."


@pytest.fixture
def speech(tmp_path: Path) -> str:
    """A file of sound."""
    file = tmp_path / "speech.wav"
    file.write_bytes(sound("wav", 1.5))
    return str(file)


def test_json(openai_python: ClientProgram, visit: Visit, speech: str) -> None:
    """The text, and our usage in the package's own class."""
    found = openai_python.ask("transcribe", key=visit.key, path=speech)
    assert (found["class"], found["reply"]["text"]) == ("Transcription", TEXT)
    assert found["reply"]["usage"] == {"type": "duration", "seconds": 1.5, "cost": COST / 10**9}
    assert visit.spent_nusd() == COST


@pytest.mark.parametrize(("response_format", "begins"), [("text", TEXT), ("srt", "1\n00:00:00,000"), ("vtt", "WEBVTT\n")])
def test_text(openai_python: ClientProgram, visit: Visit, speech: str, response_format: str, begins: str) -> None:
    """A text is a text."""
    found = openai_python.ask("transcribe", key=visit.key, path=speech, response_format=response_format, language="pl")
    assert found["class"] == "str"
    assert found["reply"].startswith(begins.replace("any language", "pl"))
    assert visit.spent_nusd() == COST


def test_words_and_their_times(openai_python: ClientProgram, visit: Visit, speech: str) -> None:
    """`verbose_json`, with a list among the fields."""
    fields = {"response_format": "verbose_json", "timestamp_granularities": ["word"], "temperature": 0.2}
    found = openai_python.ask("transcribe", key=visit.key, path=speech, **fields)
    assert found["class"] == "TranscriptionVerbose"
    assert (found["reply"]["duration"], len(found["reply"]["words"])) == (1.5, 8)
    assert visit.calls[0].body["timestamp_granularities[]"] == ["word"]
    assert visit.spent_nusd() == COST


def test_a_stream(openai_python: ClientProgram, visit: Visit, speech: str) -> None:
    """Events of the package's own classes; the last has the cost."""
    *deltas, last = openai_python.ask("transcribe_streamed", key=visit.key, path=speech)
    assert "".join(delta["delta"] for delta in deltas) == last["text"] == TEXT
    assert len(deltas) > 3
    assert last["usage"]["cost"] == COST / 10**9
    assert visit.spent_nusd() == COST


def test_what_is_refused(openai_python: ClientProgram, visit: Visit, speech: str, tmp_path: Path) -> None:
    """By the class that its users catch; nothing is charged."""
    nonsense = tmp_path / "nonsense.mp3"
    nonsense.write_text("no sound at all")
    for path, fields, kind, status, param in (
        (speech, {"temperature": 2}, "BadRequestError", 400, "temperature"),
        (speech, {"model": "whisper-9"}, "NotFoundError", 404, "model"),
        (str(nonsense), {}, "BadRequestError", 400, "file"),
    ):
        found = openai_python.ask("transcribe_refused", key=visit.key, path=path, fields=fields)
        assert (found["class"], found["status_code"], found["param"]) == (kind, status, param)
    assert visit.spent_nusd() == 0
