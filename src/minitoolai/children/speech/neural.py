"""What calls of all neural voices have in common: plain text, cut into sentences; no pitch of its own."""

from __future__ import annotations

from minitoolai.children.speech.synthesis import Piece, Refused
from minitoolai.core.sentences import sentences
from minitoolai.core.speech import DEFAULT_PITCH, SpeechRequest


def check_plain(request: SpeechRequest) -> None:
    """Raise `Refused` for what neural voices cannot do."""
    if request.ssml:
        raise Refused("ssml", "the voices of this model read plain text. Send the text without markup and ssml false.")
    if request.pitch != DEFAULT_PITCH:
        raise Refused("pitch", "the voices of this model have one pitch. Leave it out, or use a model of espeak-ng.")


def pieces_of(text: str) -> list[Piece]:
    """Return a text's sentences."""
    return [Piece(sentence.text, sentence.ends_at) for sentence in sentences(text)]
