"""What the tests of the child that draws have in common."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import tiny_diffusion


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A tiny model's folder."""
    return tiny_diffusion.make(tmp_path / "model")
