"""What neural voices do not do, and the pieces of their texts."""

from __future__ import annotations

import pytest

from minitoolai.children.speech.neural import check_plain, pieces_of
from minitoolai.children.speech.synthesis import Piece, Refused
from minitoolai.core.speech import SpeechRequest


def test_plain_text_only() -> None:
    """Markup and another pitch are refused with what to send instead."""
    check_plain(SpeechRequest("Hello", speed=2.0, instructions="softly"))
    with pytest.raises(Refused, match=r"ssml: .* plain text"):
        check_plain(SpeechRequest("<speak/>", ssml=True))
    with pytest.raises(Refused, match=r"pitch: .* one pitch"):
        check_plain(SpeechRequest("Hello", pitch=1.1))


def test_pieces() -> None:
    """A piece is a sentence."""
    assert pieces_of("One. Two.") == [Piece("One.", 5), Piece("Two.", 9)]
