"""A model's noise is read from its configuration, and what makes no sense is refused with the field's name."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from minitoolai.core.samplers import NoiseLevels, NoiseScheduleInvalid
from minitoolai.core.samplers.betas import signal_shares
from tests.unit.core.samplers.mixture import CONFIG


def test_scaled_linear_is_even_in_the_roots() -> None:
    """Stable Diffusion's schedule, against numpy's own arithmetic."""
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    assert np.allclose(signal_shares(CONFIG), np.cumprod(1 - betas), rtol=1e-12)


def test_linear_is_even_itself() -> None:
    """The first diffusion models' schedule."""
    config = {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02, "num_train_timesteps": 50}
    assert np.allclose(signal_shares(config), np.cumprod(1 - np.linspace(0.0001, 0.02, 50)), rtol=1e-12)


def test_the_cosine_schedule_follows_its_curve() -> None:
    """The picture's share is the squared cosine, up to where beta is capped."""
    shares = signal_shares({"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 100})

    def curve(at: float) -> float:
        return math.cos((at + 0.008) / 1.008 * math.pi / 2) ** 2

    assert shares[:99] == pytest.approx([curve((at + 1) / 100) / curve(0) for at in range(99)])
    assert shares[99] / shares[98] == pytest.approx(0.001)


def test_betas_of_training_go_before_the_schedule() -> None:
    """As they are listed."""
    assert signal_shares({**CONFIG, "trained_betas": [0.1, 0.2, 0.5]}) == pytest.approx([0.9, 0.72, 0.36])


def test_without_any_picture_at_the_end_the_noise_is_finite() -> None:
    """The first level stays, the last is 4096, and all others are stretched between them."""
    plain = NoiseLevels.from_config(CONFIG)
    levels = NoiseLevels.from_config({**CONFIG, "rescale_betas_zero_snr": True})
    assert levels.sigma_min == pytest.approx(plain.sigma_min)
    assert levels.sigma_max == pytest.approx(4096, rel=1e-4)
    assert all(more > less for more, less in zip(levels.log_sigmas[1:], plain.log_sigmas[1:], strict=True))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"num_train_timesteps": None}, "num_train_timesteps"),
        ({"num_train_timesteps": True}, "num_train_timesteps"),
        ({"num_train_timesteps": 1}, "num_train_timesteps"),
        ({"num_train_timesteps": 100_001}, "num_train_timesteps"),
        ({"num_train_timesteps": "1000"}, "num_train_timesteps"),
        ({"beta_schedule": None}, "beta_schedule"),
        ({"beta_schedule": "sigmoid"}, "beta_schedule"),
        ({"beta_schedule": ["linear"]}, "beta_schedule"),
        ({"beta_start": None}, "beta_start"),
        ({"beta_start": 0}, "beta_start"),
        ({"beta_start": True}, "beta_start"),
        ({"beta_end": 1.0}, "beta_end"),
        ({"beta_end": float("nan")}, "beta_end"),
        ({"beta_end": "0.012"}, "beta_end"),
        ({"trained_betas": 0.1}, "trained_betas"),
        ({"trained_betas": [0.1]}, "trained_betas"),
        ({"trained_betas": [0.1, -0.1]}, "trained_betas"),
        ({"trained_betas": [1e-20, 1e-20]}, "its noise"),
        ({"trained_betas": [1e-20, 1e-20], "rescale_betas_zero_snr": True}, "its noise"),
        ({"num_train_timesteps": 100_000, "beta_end": 0.9}, "its noise"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, Any], field: str) -> None:
    """With the field's name, before a model draws grey."""
    with pytest.raises(NoiseScheduleInvalid, match=f"scheduler_config.json cannot be used: {field} "):
        NoiseLevels.from_config({**CONFIG, **change})


def test_a_flow_models_configuration_is_refused() -> None:
    """It has no betas: it would need other schedulers."""
    with pytest.raises(NoiseScheduleInvalid, match="beta_schedule"):
        NoiseLevels.from_config({"num_train_timesteps": 1000, "shift": 3.0})
