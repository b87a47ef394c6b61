"""The settings of jobs and files: unknown keys are refused by name, and prices of pictures stay text."""

from __future__ import annotations

from pathlib import Path

import pytest

from minitoolai.core.inner_errors import ConfigInvalid
from minitoolai.runtime.config import load_settings


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("[jobs]\nworker = 2", "did you mean 'jobs.workers'?"),
        ('[storage]\nurls = "s3://b"', "did you mean 'storage.url'?"),
        ('[engines.sd]\nkind = "onnx"\nmodel = "/m"', "did you mean 'engines.sd.model_path'?"),
        ("[jobs]\nworkers = 65", "jobs.workers"),
        ("[jobs]\nretention_days = 0", "jobs.retention_days"),
        ("[jobs]\nretention_days = 0.5", "jobs.retention_days"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, near: str) -> None:
    """With the nearest key there is, or the setting whose value cannot be."""
    file = tmp_path / "minitoolai.toml"
    file.write_text(text)
    with pytest.raises(ConfigInvalid, match=near.replace("?", r"\?")):
        load_settings({}, file)


def test_a_price_in_a_variable_stays_text(tmp_path: Path) -> None:
    """It is an amount, never a binary fraction."""
    file = tmp_path / "minitoolai.toml"
    file.write_text('[models.mine]\nkind = "image"\n')
    settings = load_settings({"MINITOOLAI_MODELS__MINE__USD_PER_IMAGE": "0.0015", "MINITOOLAI_JOBS__WORKERS": "2"}, file)
    assert (settings.models["mine"].usd_per_image, settings.jobs.workers) == ("0.0015", 2)
