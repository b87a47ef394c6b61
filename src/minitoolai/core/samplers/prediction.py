"""From what a model says to the picture without noise that it sees: three kinds of models say three things.

x = picture + sigma noise. The models see z = x / sqrt(1 + sigma^2) = alpha picture + (alpha sigma) noise, with
alpha = 1 / sqrt(1 + sigma^2) (`noise_levels.input_scale`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from minitoolai.core.samplers.arrays import A
from minitoolai.core.samplers.errors import PredictionUnknown

#: `(x, sigma, output)`: x and the model's output of one shape, its level sigma > 0; returns the denoised picture.
Prediction = Callable[[Any, float, Any], Any]


def from_epsilon(x: A, sigma: float, output: A) -> A:
    """The model says the noise (Ho et al. 2020, arXiv:2006.11239, eq. 15, in sigma): x - sigma noise."""
    denoised: A = x - output * sigma
    return denoised


def from_v(x: A, sigma: float, output: A) -> A:
    """The model says v = alpha noise - alpha sigma picture (Salimans and Ho 2022, arXiv:2202.00512, appendix D).

    The picture is alpha z - alpha sigma v = x / (1 + sigma^2) - v sigma / sqrt(1 + sigma^2).
    """
    square = 1 + sigma * sigma
    denoised: A = x * (1 / square) - output * (sigma / math.sqrt(square))
    return denoised


def from_sample(x: A, sigma: float, output: A) -> A:
    """The model says the picture itself."""
    return output


#: By the names of `prediction_type` in a picture model's scheduler_config.json.
PREDICTIONS: Mapping[str, Prediction] = {
    "epsilon": from_epsilon,
    "v_prediction": from_v,
    "sample": from_sample,
}


def prediction(config: Mapping[str, object]) -> Prediction:
    """Return how to read the outputs of the model with this scheduler_config.json; `epsilon` where it does not say.

    Raises `PredictionUnknown`.
    """
    name = config.get("prediction_type", "epsilon")
    found = PREDICTIONS.get(name) if isinstance(name, str) else None
    if found is None:
        raise PredictionUnknown(found=f"{name!r:.40}", known=", ".join(PREDICTIONS))
    return found
