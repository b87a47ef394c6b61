"""Models that say the noise, the picture, or both in one: read right, they say the same."""

from __future__ import annotations

import math

import numpy as np
import pytest

from minitoolai.core.samplers import PREDICTIONS, PredictionUnknown, input_scale, prediction, run, scheduler, start_scale
from tests.unit.core.samplers import mixture
from tests.unit.core.samplers.mixture import LEVELS, Numbers, normal


def output(kind: str, picture: Numbers, noise: Numbers, sigma: float) -> Numbers:
    """What a model of a kind was trained to say: v is the noise's direction seen along the angle from picture to noise."""
    angle = math.atan(sigma)
    return {
        "epsilon": noise,
        "v_prediction": noise * math.cos(angle) - picture * math.sin(angle),
        "sample": picture,
    }[kind]


@pytest.mark.parametrize("sigma", [0.03, 1.0, 14.6, 4096.0])
@pytest.mark.parametrize("kind", PREDICTIONS)
def test_a_perfect_model_is_read_right(kind: str, sigma: float) -> None:
    """From x and what it says, the picture that was noised comes back."""
    picture, noise = normal(1, 50)(), normal(2, 50)()
    x = picture + noise * sigma
    found = PREDICTIONS[kind](x, sigma, output(kind, picture, noise, sigma))
    assert np.allclose(found, picture, atol=1e-15 * sigma * 10 + 1e-12)


@pytest.mark.parametrize("name", ["DPM++ SDE", "DPM++ 2M Karras", "DPM fast"])
def test_three_kinds_of_models_draw_the_same(name: str) -> None:
    """One model's knowledge said in three ways: the same picture."""
    sigmas = scheduler(name).sigmas(LEVELS, 6)

    def drawn(kind: str) -> Numbers:
        def denoise(x: Numbers, sigma: float) -> Numbers:
            guess = mixture.denoise(x, sigma)
            said = output(kind, guess, (x - guess) / sigma, sigma)
            found: Numbers = prediction({"prediction_type": kind})(x, sigma, said)
            return found

        noise = normal(4, 50)
        return run(name, noise() * start_scale(sigmas[0]), sigmas, noise, denoise)

    assert np.allclose(drawn("epsilon"), drawn("sample"), atol=1e-9)
    assert np.allclose(drawn("v_prediction"), drawn("sample"), atol=1e-9)


def test_the_kind_is_read_from_the_configuration() -> None:
    """The noise where it does not say."""
    assert prediction({}) is PREDICTIONS["epsilon"]
    assert prediction({"prediction_type": "v_prediction"}) is PREDICTIONS["v_prediction"]


@pytest.mark.parametrize("found", ["flow_prediction", "", None, 3, ["epsilon"]])
def test_an_unknown_kind_is_refused(found: object) -> None:
    """With what was found and the kinds there are, rather than a grey picture."""
    with pytest.raises(PredictionUnknown, match=r"prediction_type .* One of: epsilon, v_prediction, sample") as raised:
        prediction({"prediction_type": found})
    assert repr(found) in str(raised.value)


@pytest.mark.parametrize("sigma", [0.03, 1.0, 14.6])
def test_models_see_a_variance_of_one(sigma: float) -> None:
    """Of a picture of variance 1 with its noise, and of the noise that a picture begins with."""
    assert input_scale(sigma) ** 2 * (1 + sigma**2) == pytest.approx(1)
    assert input_scale(sigma) * start_scale(sigma) == pytest.approx(1)
