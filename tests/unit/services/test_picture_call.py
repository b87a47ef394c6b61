"""One call for pictures: sizes that a model draws, several pictures, the cap."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from minitoolai.core.catalog import PictureModel
from minitoolai.core.errors import InvalidValue
from minitoolai.core.ledger import Repeatable
from minitoolai.core.picture_errors import PicturesOverCap
from minitoolai.core.pictures import MAX_SEED
from minitoolai.services.picture_call import PictureCall
from tests.unit.services.picture_room import CALL, PICTURE

ANY, SOME = PictureModel("any", 1), PictureModel("some", 1, sizes=("512x512", "1536x1024"))


def sized(width: int, height: int, **more: bool | str) -> PictureCall:
    """A call for that size."""
    return PictureCall("m", msgspec.structs.replace(PICTURE, width=width, height=height), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(256, 256), (1344, 1344), (257, 1343)])
def test_most_models_draw_any_size(size: tuple[int, int]) -> None:
    """Within the bounds."""
    call = sized(*size)
    assert call.fitted(ANY) == call


@pytest.mark.parametrize("size", [(255, 256), (256, 255), (1345, 256), (256, 1345), (1536, 1024)])
def test_bounds_of_a_side(size: tuple[int, int]) -> None:
    """The caller's own field is named."""
    with pytest.raises(InvalidValue, match="256 to 1344") as caught:
        sized(*size, size_field="size").fitted(ANY)
    assert caught.value.param == "size"


def test_a_model_that_draws_some_sizes() -> None:
    """Also larger ones; another is refused, or the first is taken where the caller leaves it open."""
    assert sized(1536, 1024).fitted(SOME) == sized(1536, 1024)
    with pytest.raises(InvalidValue, match="draws 512x512, 1536x1024, not 1024x1024") as caught:
        sized(1024, 1024).fitted(SOME)
    assert caught.value.param == "width"
    fitted = sized(1024, 1024, any_size=True).fitted(SOME).picture
    assert (fitted.width, fitted.height, fitted.prompt) == (512, 512, PICTURE.prompt)


def test_each_picture_has_its_seed_and_its_key() -> None:
    """The next seed, from the last to the first; a key that no caller can send."""
    call = replace(
        CALL, picture=msgspec.structs.replace(PICTURE, seed=MAX_SEED), count=3, repeatable=Repeatable("key", b"digest")
    )
    assert [call.nth(index).picture.seed for index in range(3)] == [MAX_SEED, 0, 1]
    keys = [again.key for index in range(3) if (again := call.nth(index).repeatable) is not None]
    assert keys == ["key", "key\x001", "key\x002"]
    assert not keys[1].isprintable()
    assert CALL.nth(2).repeatable is None


def test_the_cap_is_for_all() -> None:
    """Exactly the cost is enough."""
    replace(CALL, max_cost_nusd=6, count=2).check_cap(3)
    replace(CALL, count=10).check_cap(3)
    with pytest.raises(PicturesOverCap, match=r"more than the 0\.000000005 USD") as caught:
        replace(CALL, max_cost_nusd=5, count=2).check_cap(3)
    assert caught.value.param == "x-max-cost"
