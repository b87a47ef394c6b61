"""`pictures.md` and `models.md` say of pictures what the code does: fields, models, price."""

from __future__ import annotations

import pytest

from minitoolai.api.job_routes import CancelBody, JobBody
from minitoolai.api.picture_bodies import ImagesBody, TextToImageBody
from minitoolai.core.builtin_models import SEED_IMAGE_NUSD, SEED_PICTURE_MODELS
from minitoolai.core.money import format_usd
from tests.house.documents import code_words, reference, rows, sections

#: Which body each section has a table for.
TABLES = {
    "`POST /api/texttoimage/`": TextToImageBody,
    "`POST /api/texttoimage/jobs/`": JobBody,
    "`POST /v1/images/generations`": ImagesBody,
}


@pytest.mark.parametrize("heading", TABLES)
def test_every_field_is_documented(heading: str) -> None:
    """The section's table names exactly the fields of the body that checks them; other spellings stand beside theirs."""
    cells = [row for row in rows(sections(reference("pictures.md"))[heading]) if "|" not in row[0]]
    named = {word for row in cells if row[0].startswith("`") for word in code_words(row[0])}
    spelt = {"negativePrompt", "cfgScale"} if TABLES[heading] is ImagesBody else set()
    assert named | spelt == set(TABLES[heading].__struct_encode_fields__)


def test_cancelling_is_documented() -> None:
    """Its few words name its fields."""
    words = set(code_words(sections(reference("pictures.md"))["`POST /api/texttoimage/jobs/cancel/`"]))
    assert set(CancelBody.__struct_encode_fields__) <= words


def test_picture_models_are_those_of_the_catalogue() -> None:
    """All 15 and their price, in order."""
    text = sections(reference("models.md"))["Picture models"]
    assert [word for word in code_words(text) if not word.startswith("POST")] == [model.id for model in SEED_PICTURE_MODELS]
    assert f"costs {format_usd(SEED_IMAGE_NUSD)} USD" in text
