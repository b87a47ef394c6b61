"""From noise to a picture: 18 ways to solve the equation that a diffusion model describes, as arithmetic on arrays.

numpy and torch share it: of an array it needs `+`, `-`, and `*` and `/` with a number. The model, the noise and the
arrays are arguments; no array library may enter. Noise levels are sigma, noise's standard deviation where the clean
picture's is about 1 and keeps its scale ("variance exploding", Karras et al. 2022, arXiv:2206.00364).
"""

from minitoolai.core.samplers.arrays import Array, Solution
from minitoolai.core.samplers.drive import run
from minitoolai.core.samplers.errors import NoiseScheduleInvalid, PredictionUnknown, SchedulerUnknown
from minitoolai.core.samplers.noise_levels import NoiseLevels, input_scale, start_scale
from minitoolai.core.samplers.prediction import PREDICTIONS, Prediction, prediction
from minitoolai.core.samplers.table import SCHEDULERS, Scheduler, scheduler

__all__ = [
    "PREDICTIONS",
    "SCHEDULERS",
    "Array",
    "NoiseLevels",
    "NoiseScheduleInvalid",
    "Prediction",
    "PredictionUnknown",
    "Scheduler",
    "SchedulerUnknown",
    "Solution",
    "input_scale",
    "prediction",
    "run",
    "scheduler",
    "start_scale",
]
