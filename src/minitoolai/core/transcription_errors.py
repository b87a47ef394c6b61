"""Failures that only calls with a sound file meet: part of the tree in `errors`."""

from __future__ import annotations

from minitoolai.core.errors import (
    CostCapExceeded,
    InsufficientCredit,
    InvalidRequest,
    KeyLimitReached,
    RequestTooLarge,
    UnsupportedMediaType,
)


class FormExpected(UnsupportedMediaType):
    """The Content-Type '{got}' is not supported here. Send a form: multipart/form-data, as OpenAI's SDKs and
    `curl -F file=@speech.mp3 -F model=whisper-1` do."""


class InvalidAudio(InvalidRequest):
    """The sound at 'file' cannot be used: {why} Send a file of speech in one of the formats flac, m4a, mp3, mp4, mpeg,
    mpga, ogg, wav or webm."""


class SoundTooLarge(RequestTooLarge):
    """The sound at 'file' is larger than {limit} bytes. Send a shorter one, or one that is compressed."""


class SoundUnpaid(InsufficientCredit):
    """This sound of {seconds} s costs {needed} USD and {available} USD are available on the account. Top up, or send a
    shorter one."""


class SoundOverKeyLimit(KeyLimitReached):
    """This sound of {seconds} s costs {needed} USD and this key may still spend {available} USD. Raise the key's limit,
    use another key, or send a shorter sound."""


class SoundOverCap(CostCapExceeded):
    """This sound of {seconds} s costs {needed} USD, more than the {cap} USD that x-max-cost allows. Raise the cap, or send
    a shorter one."""
