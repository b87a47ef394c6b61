"""The boot documents of children that speak."""

from __future__ import annotations

import json

import pytest

from minitoolai.children.report import BootError
from minitoolai.children.speech.boot import SpeechBoot, VoicesBoot


def test_defaults() -> None:
    """English, and as many threads as the engine likes."""
    assert SpeechBoot.parse(b'{"socket": "/s"}') == SpeechBoot("/s", "en")
    boot = VoicesBoot.parse(b'{"socket": "/s", "model_path": "/voices"}')
    assert (boot.language, boot.model_path, boot.threads) == ("en", "/voices", None)


@pytest.mark.parametrize(
    "change",
    [
        {"language": ""},
        {"language": None},
        {"model_path": ""},
        {"model_path": 5},
        {"threads": 0},
        {"socket": ""},
        {"typo": 1},
    ],
)
def test_bad_ones_are_refused(change: dict[str, object]) -> None:
    """Each with the field's name in the message."""
    with pytest.raises(BootError, match=next(iter(change))) as caught:
        VoicesBoot.parse(json.dumps({"socket": "/s", "model_path": "/voices", **change}).encode())
    assert caught.value.code == "boot_invalid"


def test_a_path_of_voices_is_needed() -> None:
    """There is no folder that every machine has."""
    with pytest.raises(BootError, match="model_path"):
        VoicesBoot.parse(b'{"socket": "/s"}')
