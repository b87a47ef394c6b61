"""Pictures in a call's bounds: exact where their size is known, the most where it is not, refused where nobody sees."""

from __future__ import annotations

from dataclasses import replace

import pytest

from minitoolai.core.errors import InvalidValue
from minitoolai.core.inference import ImageInput
from minitoolai.services.bounds import Bounds
from minitoolai.services.image_bounds import ImageTokens, count_images
from tests.unit.services.room import FLOOR, MODEL, WHOLE

PARAM = "messages[0].content[1].image_url.url"
KNOWN = ImageInput(PARAM, "data:image/png;base64,…", "auto", (10, 10))
UNKNOWN = ImageInput(PARAM, "https://example.com/a.png", "low")
SEEING = replace(MODEL, vision=True, image_rule="gpt-4o", context_tokens=100_000)


def test_pictures_of_a_call() -> None:
    """Known sizes are counted, unknown ones bounded."""
    assert count_images("gpt-4o", [KNOWN, UNKNOWN, KNOWN]) == ImageTokens(most=2 * 255 + 85, known=2 * 255)
    assert count_images("gpt-4o", []) == ImageTokens(0, 0)


def test_a_call_with_pictures() -> None:
    """The prompt is its text and its pictures; what is known of it so far, those whose size is."""
    with_text, with_both = Bounds(SEEING, WHOLE), Bounds(SEEING, replace(WHOLE, images=(KNOWN, UNKNOWN)))
    assert with_both.prompt_tokens == with_text.prompt_tokens + 255 + 85
    assert with_both.prompt_so_far() == FLOOR + 255
    assert with_both.count_prompt() == with_text.count_prompt() + 255 + 85


@pytest.mark.parametrize(("starter", "who"), [(True, "the starter model"), (False, "the model 'm'")])
def test_models_that_cannot_see(starter: bool, who: str) -> None:
    """The refusal names the part, and says who cannot see it."""
    with pytest.raises(InvalidValue, match=f"{who} cannot see images") as caught:
        Bounds(replace(MODEL, starter=starter), replace(WHOLE, images=(UNKNOWN,)))
    assert caught.value.param == "messages[0].content[1]"
