"""How a model's training mixed noise in, read from its scheduler_config.json, which an operator may have written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from operator import mul

from minitoolai.core.samplers.errors import NoiseScheduleInvalid

#: More would be a mistake in the file: models are trained with about a thousand.
MAX_TIMESTEPS = 100_000
#: The picture's share left at the last timestep of a schedule without any: sigma must be a number. `diffusers` takes it
#: too (`rescale_betas_zero_snr`); it makes sigma 4096.
ZERO_SNR_SHARE = 2.0**-24
#: Largest beta of the cosine schedule (Nichol and Dhariwal 2021, arXiv:2102.09672, section 3.2), and its offset.
COSINE_MAX_BETA = 0.999
COSINE_OFFSET = 0.008


def signal_shares(config: Mapping[str, object]) -> Sequence[float]:
    """Return the picture's share of the variance at each timestep, `alphas_cumprod`: falling, between 0 and 1.

    Raises `NoiseScheduleInvalid`.
    """
    shares = _falling(list(accumulate((1 - beta for beta in _betas(config)), mul)))
    return _falling(_zero_snr(shares)) if config.get("rescale_betas_zero_snr") else shares


def _falling(shares: Sequence[float]) -> Sequence[float]:
    if not all(0 < low < high < 1 for high, low in pairwise(shares)):
        raise NoiseScheduleInvalid(field="its noise", why="does not grow with every timestep")
    return shares


def _betas(config: Mapping[str, object]) -> Sequence[float]:
    trained = config.get("trained_betas")
    if trained is not None:
        if not isinstance(trained, list) or not 2 <= len(trained) <= MAX_TIMESTEPS:
            raise NoiseScheduleInvalid(field="trained_betas", why=f"is not a list of 2 to {MAX_TIMESTEPS} numbers")
        return [_share("trained_betas", beta) for beta in trained]
    count = config.get("num_train_timesteps")
    if type(count) is not int or not 2 <= count <= MAX_TIMESTEPS:
        raise NoiseScheduleInvalid(field="num_train_timesteps", why=f"is not a whole number from 2 to {MAX_TIMESTEPS}")
    match config.get("beta_schedule"):
        case "linear":
            return list(_evenly(*_ends(config), count))
        case "scaled_linear":
            start, end = _ends(config)
            return [root * root for root in _evenly(math.sqrt(start), math.sqrt(end), count)]
        case "squaredcos_cap_v2":
            shares = [
                math.cos((at / count + COSINE_OFFSET) / (1 + COSINE_OFFSET) * math.pi / 2) ** 2 for at in range(count + 1)
            ]
            return [min(1 - low / high, COSINE_MAX_BETA) for high, low in pairwise(shares)]
    raise NoiseScheduleInvalid(field="beta_schedule", why="is none of linear, scaled_linear, squaredcos_cap_v2")


def _ends(config: Mapping[str, object]) -> tuple[float, float]:
    return _share("beta_start", config.get("beta_start")), _share("beta_end", config.get("beta_end"))


def _share(field: str, found: object) -> float:
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found < 1:
        raise NoiseScheduleInvalid(field=field, why="is not a number between 0 and 1")
    return float(found)


def _evenly(start: float, end: float, count: int) -> Iterable[float]:
    return (start + (end - start) * at / (count - 1) for at in range(count))


def _zero_snr(shares: Sequence[float]) -> list[float]:
    """Return the shares with none of the picture left at the end (Lin et al. 2023, arXiv:2305.08891, algorithm 1)."""
    roots = [math.sqrt(share) for share in shares]
    first, last = roots[0], roots[-1]
    stretched = [((root - last) * first / (first - last)) ** 2 for root in roots]
    return [*stretched[:-1], ZERO_SNR_SHARE]
