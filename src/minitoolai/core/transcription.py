"""What is asked of a model that writes down speech: OpenAI's fields and their bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from minitoolai.core.ledger import Repeatable

#: Bytes of a sound file at most: OpenAI's limit (https://platform.openai.com/docs/guides/speech-to-text).
MAX_SOUND_BYTES = 25 * 1024 * 1024
#: Milliseconds of a sound at most: twice what fits into such a file as speech at 5 kbit/s.
MAX_SOUND_MS = 24 * 3_600_000

ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"]
RESPONSE_FORMATS: tuple[ResponseFormat, ...] = get_args(ResponseFormat)
#: What each that is no JSON is called in a reply's headers.
MEDIA_TYPES: Mapping[ResponseFormat, str] = {
    "text": "text/plain; charset=utf-8",
    "srt": "text/plain; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class TranscriptionRequest:
    """Sound that is to be written down."""

    model: str
    #: The sound file as it came, and a name for it, whose ending tells engines what it is.
    sound: bytes = field(repr=False)
    file_name: str
    response_format: ResponseFormat = "json"
    #: Whether the text is wanted as it is written, in events.
    stream: bool = False
    #: OpenAI's other fields that are handed to an engine untouched, in their order; a name may stand more than once.
    fields: tuple[tuple[str, str], ...] = ()
    #: The most that the caller lets the call cost, in nano-dollars (`x-max-cost`); None: no cap.
    max_cost_nusd: int | None = None
    #: What makes the call the same as an earlier one (`Idempotency-Key`).
    repeatable: Repeatable | None = None
