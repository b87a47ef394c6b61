"""Failures that only jobs, pictures and their files meet: part of the tree in `errors`."""

from __future__ import annotations

from minitoolai.core.errors import (
    CostCapExceeded,
    InsufficientCredit,
    KeyLimitReached,
    NotFound,
    ServiceUnavailable,
    UpstreamError,
)


class PictureUnpaid(InsufficientCredit):
    """This picture costs {needed} USD and {available} USD are available on the account. Top up."""


class PictureOverKeyLimit(KeyLimitReached):
    """This picture costs {needed} USD and this key may still spend {available} USD. Raise the key's limit, or use
    another key."""


class PicturesUnpaid(PictureUnpaid):
    """These {count} pictures cost {needed} USD and {available} USD are available on the account. Top up, or ask for
    fewer."""


class PicturesOverKeyLimit(PictureOverKeyLimit):
    """These {count} pictures cost {needed} USD and this key may still spend {available} USD. Raise the key's limit, use
    another key, or ask for fewer."""


class PicturesOverCap(CostCapExceeded):
    """This call costs {needed} USD, more than the {cap} USD that x-max-cost allows. Raise the cap, or ask for fewer
    pictures."""


class JobNotFound(NotFound):
    """job not found"""


class FileGone(NotFound):
    """There is no such file, or its link has expired. Ask for the job again: its reply has a fresh link."""


class StorageUnavailable(ServiceUnavailable):
    """This server cannot reach its store of files at present, or the store is full. Repeat after the time in
    Retry-After; where that does not help, write to the operator of this server."""


class QueueFull(ServiceUnavailable):
    """Too many jobs wait at present. Nothing was charged; repeat after the time in Retry-After."""


class AccountQueueFull(QueueFull):
    """Too many jobs of this account wait. Nothing was charged; repeat once some of them are done."""


class PictureFailed(UpstreamError):
    """The picture could not be drawn: {why}"""
