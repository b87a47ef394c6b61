"""Failures that only speech meets: part of the tree in `errors`."""

from __future__ import annotations

from minitoolai.core.errors import CostCapExceeded, InsufficientCredit, KeyLimitReached, NotFound


class SpeechUnpaid(InsufficientCredit):
    """This speech costs {needed} USD and {available} USD are available on the account. Top up, or send a shorter text."""


class SpeechOverKeyLimit(KeyLimitReached):
    """This speech costs {needed} USD and this key may still spend {available} USD. Raise the key's limit, use another
    key, or send a shorter text."""


class SpeechOverCap(CostCapExceeded):
    """This speech costs {needed} USD, more than the {cap} USD that x-max-cost allows. Raise the cap, or send a shorter
    text."""


class SoundGone(NotFound):
    """The sound that an earlier call with this Idempotency-Key got is not there any more. Send the call with a new key."""
