"""What pictures are in tokens: OpenAI's own examples, its limits, and agreement with the upstream's count."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitoolai.core.builtin_models import SEED_CHAT_MODELS
from minitoolai.core.images import fixed_rule, image_tokens, most_image_tokens
from tests.support import faithful_values

TILES = ("gpt-4o", "gpt-4o-mini", "gpt-4.1")
PATCHES = ("gpt-4.1-mini", "gpt-4.1-nano", "o4-mini")
DETAILS = ("auto", "low", "high")
_sides = st.integers(min_value=1, max_value=20_000)


@pytest.mark.parametrize(
    ("model", "size", "detail", "tokens"),
    [
        ("gpt-4o", (1024, 1024), "high", 765),
        ("gpt-4o", (2048, 4096), "high", 1105),
        ("gpt-4o", (4096, 8192), "low", 85),
        ("gpt-4o", (512, 512), "auto", 255),
        ("gpt-4o", (513, 512), "auto", 425),
        ("gpt-4.1", (1024, 1024), "high", 765),
        ("gpt-4o-mini", (1024, 1024), "high", 2833 + 4 * 5667),
        ("gpt-4o-mini", (10, 10), "low", 2833),
        ("gpt-4.1-mini", (1024, 1024), "auto", 1659),
        ("gpt-4.1-mini", (1800, 2400), "high", 2353),
        ("gpt-4.1-nano", (1800, 2400), "low", 3572),
        ("o4-mini", (32, 32), "auto", 2),
        ("fixed:576", (5000, 1), "low", 576),
    ],
)
def test_published_examples(model: str, size: tuple[int, int], detail: str, tokens: int) -> None:
    """The page's own: 765 and 1105 tokens, 85 with low detail; 1024 and 1452 patches times the model's factor."""
    assert image_tokens(model, detail, *size) == tokens


def test_the_most_that_a_picture_is() -> None:
    """Eight tiles, or 1536 patches; with low detail the base alone where there are tiles."""
    assert [most_image_tokens(model, "auto") for model in TILES] == [1445, 48_169, 1445]
    assert [most_image_tokens(model, "low") for model in TILES] == [85, 2833, 85]
    assert [most_image_tokens(model, "low") for model in PATCHES] == [2489, 3779, 2642]
    assert most_image_tokens(fixed_rule(576), "high") == 576


@given(model=st.sampled_from(TILES + PATCHES), detail=st.sampled_from(DETAILS), width=_sides, height=_sides)
def test_no_picture_is_more_than_the_most(model: str, detail: str, width: int, height: int) -> None:
    """The bound holds for every size, and turning a picture changes nothing."""
    tokens = image_tokens(model, detail, width, height)
    assert 1 <= tokens <= most_image_tokens(model, detail)
    assert tokens == image_tokens(model, detail, height, width)


@given(model=st.sampled_from(TILES + PATCHES), detail=st.sampled_from(DETAILS), width=_sides, height=_sides)
def test_the_upstream_counts_the_same(model: str, detail: str, width: int, height: int) -> None:
    """The faithful upstream's own arithmetic, in floating point, comes to the same counts where it is defined."""
    if model in PATCHES and max(width, height) > 500 * min(width, height):
        return  # a side of less than a patch: its formula makes nothing of it
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faithful_values, "_pixels", lambda _: (width, height))
        assert faithful_values.image_tokens(model, {"url": "", "detail": detail}) == image_tokens(
            model, detail, width, height
        )


def test_a_line_of_pixels_is_a_picture() -> None:
    """The narrowest pictures have one row of patches, and never none."""
    assert image_tokens("gpt-4.1-mini", "auto", 1_000_000, 1) == math.ceil(1536 * 1.62)


def test_every_seed_model_has_its_rule() -> None:
    """The catalogue names rules that are there."""
    assert all(model.image_rule is not None and most_image_tokens(model.image_rule, "auto") for model in SEED_CHAT_MODELS)
