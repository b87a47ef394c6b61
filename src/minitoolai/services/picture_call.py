"""One call for pictures: what is asked, on what terms, and in which words it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec

from minitoolai.core.catalog import PictureModel
from minitoolai.core.errors import InsufficientCredit, InvalidValue, KeyLimitReached, KeyRequestsLimited, MiniToolError
from minitoolai.core.ledger import Repeatable
from minitoolai.core.money import format_usd, parse_usd
from minitoolai.core.picture_errors import (
    PictureOverKeyLimit,
    PicturesOverCap,
    PicturesOverKeyLimit,
    PicturesUnpaid,
    PictureUnpaid,
)
from minitoolai.core.pictures import MAX_SEED, MAX_SIDE, MIN_SIDE, PictureRequest

#: The ledger's refusals in the words of pictures, which have no shorter prompt that costs less.
_IN_OUR_WORDS: Mapping[type[MiniToolError], type[MiniToolError]] = {
    InsufficientCredit: PictureUnpaid,
    KeyLimitReached: PictureOverKeyLimit,
}

#: And where several were asked for.
_TOGETHER: Mapping[type[MiniToolError], type[MiniToolError]] = {
    PictureUnpaid: PicturesUnpaid,
    PictureOverKeyLimit: PicturesOverKeyLimit,
}


@dataclass(frozen=True, slots=True)
class PictureCall:
    """A picture that is asked for, and on what terms."""

    model: str
    picture: PictureRequest
    webhook_url: str | None = None
    #: The caller's cap for all pictures of the call, and how many those are; None: no cap.
    max_cost_nusd: int | None = None
    count: int = 1
    repeatable: Repeatable | None = None
    #: The caller's field that says how large the picture is, for errors.
    size_field: str = "width"
    #: Whether the size is only what most models draw: one that draws only some others takes its first.
    any_size: bool = False

    def fitted(self, model: PictureModel) -> PictureCall:
        """Return the call with a size that the model draws. Raises `InvalidValue` where it does not draw the asked one."""
        width, height = self.picture.width, self.picture.height
        size = f"{width}x{height}"
        if model.sizes and size not in model.sizes and self.any_size:
            first, _, second = model.sizes[0].partition("x")
            return replace(self, picture=msgspec.structs.replace(self.picture, width=int(first), height=int(second)))
        if model.sizes and size not in model.sizes:
            why = f"the model '{model.id}' draws {', '.join(model.sizes)}, not {size}."
            raise InvalidValue(param=self.size_field, why=why)
        if not model.sizes and not (min(width, height) >= MIN_SIDE and max(width, height) <= MAX_SIDE):
            raise InvalidValue(param=self.size_field, why=f"each side has {MIN_SIDE} to {MAX_SIDE} pixels.")
        return self

    def nth(self, index: int) -> PictureCall:
        """Return the call for one of its pictures, from 0: each has the next seed, and is repeated by itself."""
        picture = msgspec.structs.replace(self.picture, seed=(self.picture.seed + index) % (MAX_SEED + 1))
        again = self.repeatable
        if again is not None and index:
            # No caller's key has this in it: its characters are printable.
            again = msgspec.structs.replace(again, key=f"{again.key}\0{index}")
        return replace(self, picture=picture, repeatable=again)

    def check_cap(self, image_nusd: int) -> None:
        """Raise `PicturesOverCap` where its pictures cost more than its caller allows."""
        cost = self.count * image_nusd
        if self.max_cost_nusd is not None and cost > self.max_cost_nusd:
            cap = format_usd(self.max_cost_nusd)
            raise PicturesOverCap(param="x-max-cost", needed=format_usd(cost), cap=cap)


def refused_together(refusal: MiniToolError, count: int, held_nusd: int) -> MiniToolError:
    """Return what the caller of `count` pictures is told: one was refused after `held_nusd` were held for others."""
    if isinstance(refusal, KeyRequestsLimited) and count > (most := int(str(refusal.facts["limit"]))):
        # Waiting would not help: each picture is a request, and no minute has so many.
        return InvalidValue(param="n", why=f"this key may make {most} requests a minute, and each picture is one.")
    words = _TOGETHER.get(type(refusal)) if count > 1 else None
    if words is None:
        return refusal
    needed, available = (parse_usd(str(refusal.facts[fact])) for fact in ("needed", "available"))
    return words(count=count, needed=format_usd(count * needed), available=format_usd(available + held_nusd))


def in_our_words(refusal: MiniToolError) -> MiniToolError:
    """Return what the caller is told whom the ledger refused."""
    words = _IN_OUR_WORDS.get(type(refusal))
    return refusal if words is None else words(**refusal.facts)
